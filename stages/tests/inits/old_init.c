/*
 * A stand-in for busybox init of the versions that no registry has any more: init VERSION UNIT_MS.
 *
 * Written from the facts in the table below, none of busybox's code. VERSION is 1.1, 1.9, 1.13, 1.20 or 1.24; UNIT_MS is
 * how long one of its seconds takes, so that a story is short.
 *
 *                                                     1.1      1.9      1.13     1.20     1.24
 * HUP re-reads the inittab                            handler  handler  handler  later    later
 * HUP before sysinit, wait and once are done          as QUIT  as QUIT  ignored  later    later
 * QUIT restarts                                       handler  handler  handler  handler  later
 * a second signal before the first is acted upon      nests    nests    nests    (HUP)    overwrites it
 * the restart command is split into words             no       no       yes      yes      yes
 * an empty id means                                   console  old stdio in all of the others
 * a line is read                                      in pieces of 255 bytes     whole    whole
 * after SIGKILL it waits another second               yes      yes      yes      no       no
 *
 * Of all of them: QUIT runs the shutdown actions one after the other, then TERM, a second, KILL, then opens the terminal
 * of the first restart action and executes its command; where either fails the box is halted. Without a restart action
 * QUIT does nothing. Re-reading matches entries by command and terminal. Read from the release tags of busybox, init/init.c.
 *
 * More words: killremoved (FEATURE_KILL_REMOVED), console=PATH (what it found to be its console at its start). Compiled with
 * NO_INITTAB it is one without FEATURE_USE_INITTAB.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { NONE = 0, SYSINIT = 1, WAIT = 2, ONCE = 4, RESPAWN = 8, ASKFIRST = 16, CTRLALTDEL = 32, SHUTDOWN = 64, RESTART = 128 };

static const struct { const char *name; enum kind kind; } kinds[] = {
    { "sysinit", SYSINIT }, { "wait", WAIT }, { "once", ONCE }, { "respawn", RESPAWN }, { "askfirst", ASKFIRST },
    { "ctrlaltdel", CTRLALTDEL }, { "shutdown", SHUTDOWN }, { "restart", RESTART },
};

struct entry {
    struct entry *next;
    int kind;
    pid_t pid;
    char tty[32];
    char command[256];
};

static struct entry *entries;
static int version, unit_ms, kill_removed;
/* By such a text a program of busybox is known. */
static const char *volatile banner = "BusyBox v1.0.0 (a stand-in)";
#ifdef NO_INITTAB
static const char *const inittab = NULL;
#else
static const char *const inittab = "/etc/inittab";
#endif
static const char *console = "/dev/console";
/* Versions from 1.23 on have the one variable for every signal, 1.14 to 1.22 for HUP and INT. */
static volatile sig_atomic_t got;

static int immediate(void) { return version <= 113; }

static void second(void) { usleep((useconds_t)unit_ms * 1000); }

static void halt(void)
{
    sync();
    reboot(RB_HALT_SYSTEM);
    for (;;)
        pause();
}

static void add(int kind, const char *tty, const char *command)
{
    char where[32] = "";
    struct entry **last = &entries, *e;

    if (*tty)
        snprintf(where, sizeof where, "/dev/%s", strncmp(tty, "/dev/", 5) ? tty : tty + 5);
    else if (version <= 104)
        snprintf(where, sizeof where, "%s", console);
    if (kind == ASKFIRST && !strcmp(where, "/dev/null"))
        return;
    for (; (e = *last); last = &e->next) {
        if (strcmp(e->command, command) || strcmp(e->tty, where))
            continue;
        if (!immediate()) {
            /* Moves to the end, so that the list has the order of the file. */
            *last = e->next;
            while (*last)
                last = &(*last)->next;
            e->next = NULL;
            *last = e;
        }
        e->kind = kind;
        return;
    }
    e = calloc(1, sizeof *e);
    if (!e)
        halt();
    e->kind = kind;
    strcpy(e->tty, where);
    snprintf(e->command, sizeof e->command, "%s", command);
    *last = e;
}

static void parse_line(char *line)
{
    char *field[4];

    line[strcspn(line, "\n")] = 0;
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return;
    for (int i = 0; i < 4; i++) {
        field[i] = line;
        if (i == 3)
            break;
        line = strchr(line, ':');
        if (!line)
            return;
        *line++ = 0;
    }
    if (!*field[3])
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, field[2]))
            add(kinds[i].kind, field[0], field[3]);
}

static void parse_inittab(void)
{
    FILE *file = inittab ? fopen(inittab, "re") : NULL;
    char piece[256], *whole = NULL;
    size_t size = 0;

    if (!file) {
        add(CTRLALTDEL, "", "reboot");
        add(SHUTDOWN, "", "umount -a -r");
        add(SHUTDOWN, "", "swapoff -a");
        add(RESTART, "", "init");
        add(ASKFIRST, "", "-/bin/sh");
        add(SYSINIT, "", "/etc/init.d/rcS");
        return;
    }
    if (immediate())
        while (fgets(piece, sizeof piece, file))
            parse_line(piece);
    else
        while (getline(&whole, &size, file) > 0)
            parse_line(whole);
    free(whole);
    fclose(file);
}

/* Makes a terminal descriptors 0 to 2. An empty one keeps what is open. */
static int open_terminal(const char *tty)
{
    int fd;

    if (!*tty)
        return 0;
    close(0);
    close(1);
    close(2);
    fd = open(tty, O_RDWR);
    if (fd < 0)
        return -1;
    if (fd != 0)
        dup2(fd, 0);
    dup2(0, 1);
    dup2(0, 2);
    return 0;
}

/* Splits at blanks, or asks the shell where there is more to it; returns only when it failed. */
static void execute(const char *command, int split)
{
    char copy[300], *word[64];
    int count = 0;

    if (*command == '-')
        command++;
    if (!split) {
        execlp(command, command, (char *)NULL);
        return;
    }
    if (strpbrk(command, "~`!$^&*()=|\\{}[];\"'<>?")) {
        snprintf(copy, sizeof copy, "exec %s", command);
        execl("/bin/sh", "/bin/sh", "-c", copy, (char *)NULL);
        return;
    }
    snprintf(copy, sizeof copy, "%s", command);
    for (char *next = strtok(copy, " \t"); next && count < 63; next = strtok(NULL, " \t"))
        word[count++] = next;
    word[count] = NULL;
    if (count)
        execvp(word[0], word);
}

static pid_t start(const struct entry *e)
{
    sigset_t nothing, everything;
    pid_t pid;
    char key;

    /* A handler must not run in the child before it has its defaults again. */
    sigfillset(&everything);
    sigprocmask(SIG_BLOCK, &everything, &nothing);
    pid = fork();
    if (pid) {
        sigprocmask(SIG_SETMASK, &nothing, NULL);
        return pid > 0 ? pid : 0;
    }
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    sigemptyset(&nothing);
    sigprocmask(SIG_SETMASK, &nothing, NULL);
    setsid();
    if (open_terminal(e->tty))
        _exit(1);
    if (e->kind == ASKFIRST)
        while (read(0, &key, 1) == 1 && key != '\n')
            ;
    execute(e->command, 1);
    _exit(127);
}

static void ended(pid_t pid)
{
    for (struct entry *e = entries; e; e = e->next)
        if (e->pid == pid)
            e->pid = 0;
}

static void wait_for(pid_t pid)
{
    while (pid > 0) {
        pid_t done = wait(NULL);
        if (done < 0 && errno != EINTR)
            return;
        if (done > 0)
            ended(done);
        if (done == pid)
            return;
    }
}

static void run(int which)
{
    for (struct entry *e = entries, *next; e; e = next) {
        next = e->next;
        if (!(e->kind & which))
            continue;
        if (e->kind & (SYSINIT | WAIT | CTRLALTDEL | SHUTDOWN)) {
            /* Its own pid is what is waited for: a handler may change the list meanwhile. */
            wait_for(start(e));
        } else if (e->kind & ONCE) {
            start(e);
        } else if (!e->pid) {
            e->pid = start(e);
        }
    }
}

static void reload(void)
{
    for (struct entry *e = entries; e; e = e->next)
        e->kind = immediate() ? ONCE : NONE;
    parse_inittab();
    if (kill_removed)
        for (struct entry *e = entries; e; e = e->next)
            if (e->pid > 0 && (e->kind == NONE || (immediate() && e->kind == ONCE)))
                kill(e->pid, SIGTERM);
    for (struct entry **at = &entries, *e; (e = *at);) {
        int useless = immediate() ? e->kind & (ONCE | SYSINIT | WAIT) : !(e->kind & ~SYSINIT);
        if (useless && !e->pid) {
            *at = e->next;
            free(e);
        } else {
            at = &e->next;
        }
    }
    if (immediate())
        run(RESPAWN);
}

static void restart(void)
{
    sigset_t all, before;

    for (struct entry *e = entries; e; e = e->next) {
        if (!(e->kind & RESTART))
            continue;
        run(SHUTDOWN);
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, &before);
        /* Init calls sync() behind each of the two: here that would wait for the disks of the machine that runs the tests, up to
           minutes. */
        kill(-1, SIGTERM);
        second();
        kill(-1, SIGKILL);
        if (immediate())
            second();
        sigemptyset(&before);
        sigprocmask(SIG_SETMASK, &before, NULL);
        if (!open_terminal(e->tty))
            execute(e->command, version > 109);
        halt();
    }
}

static void on_hup_now(int number) { (void)number; reload(); }
static void on_quit_now(int number) { (void)number; restart(); }
static void on_term(int number) { (void)number; sync(); reboot(RB_AUTOBOOT); }
static void on_any_later(int number) { got = number; }

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    sigaction(number, &action, NULL);
}

static int act_on_signals(void)
{
    int any = 0, number;

    while ((number = got)) {
        got = 0;
        any = 1;
        if (number == SIGHUP)
            reload();
        if (number == SIGQUIT)
            restart();
    }
    return any;
}

int main(int argc, char **argv)
{
    int major = 0, minor = 0;

    if (!*banner || argc < 3 || sscanf(argv[1], "%d.%d", &major, &minor) != 2 || getpid() != 1)
        return 64;
    version = major * 100 + minor;
    unit_ms = atoi(argv[2]);
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "killremoved"))
            kill_removed = 1;
        if (!strncmp(argv[i], "console=", 8))
            console = argv[i] + 8;
    }
    /* As `signal` installs them: interrupted calls go on, and only the signal itself is blocked in its handler. */
    if (version <= 109)
        handle(SIGHUP, on_quit_now, SA_RESTART);
    if (version <= 122)
        handle(SIGQUIT, on_quit_now, SA_RESTART);
    else
        handle(SIGQUIT, on_any_later, 0);
    handle(SIGTERM, on_term, SA_RESTART);
    if (!immediate() && inittab)
        handle(SIGHUP, on_any_later, 0);
    if (chdir("/"))
        return 1;
    setsid();
    setenv("PATH", "/sbin:/usr/sbin:/bin:/usr/bin", 1);
    parse_inittab();
    run(SYSINIT);
    if (!immediate())
        act_on_signals();
    run(WAIT);
    if (!immediate())
        act_on_signals();
    run(ONCE);
    if (immediate() && inittab)
        handle(SIGHUP, on_hup_now, SA_RESTART);
    else if (immediate())
        signal(SIGHUP, SIG_IGN);
    for (;;) {
        int flags = act_on_signals() ? WNOHANG : 0;
        pid_t pid;

        run(RESPAWN | ASKFIRST);
        flags = act_on_signals() ? WNOHANG : flags;
        second();
        flags = act_on_signals() ? WNOHANG : flags;
        /* A signal that comes right here waits for the next one, or for a child to end. It was so. */
        while ((pid = waitpid(-1, NULL, flags)) > 0) {
            ended(pid);
            flags = WNOHANG;
        }
    }
}
