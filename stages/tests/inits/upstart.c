/* A stand-in for upstart 1.13 as PID 1 (Synology DSM, old Ubuntu): a service that is respawned, SIGUSR1, which only connects to D-Bus
 * anew, and SIGTERM, on which it executes the path that it was started by with its state in an open file, all signals blocked and
 * umask 0. An exec that fails is survived. Its text has the name under which the real one is on D-Bus: com/ubuntu/upstart.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t told;
const char *volatile bus = "/com/ubuntu/upstart";

static void on_term(int number)
{
	(void)number;
	told = 1;
}

static void on_usr1(int number)
{
	(void)number;
}

static pid_t start(void)
{
	pid_t pid = fork();
	if (!pid) {
		execl("/bin/sh", "/bin/sh", "/etc/service", (char *)NULL);
		_exit(127);
	}
	return pid;
}

int main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term }, usr1 = { .sa_handler = on_usr1 };
	pid_t serving = start();

	(void)argc;
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGUSR1, &usr1, NULL);
	for (;;) {
		usleep(20000);
		if (waitpid(serving, NULL, WNOHANG) == serving) {
			sleep(1);
			serving = start();
		}
		if (told) {
			char *again[] = { argv[0], "--state-fd", "9", "--restart", NULL };
			sigset_t all, before;
			mode_t mask = umask(0);
			told = 0;
			sigfillset(&all);
			sigprocmask(SIG_SETMASK, &all, &before);
			execv(argv[0], again);
			sigprocmask(SIG_SETMASK, &before, NULL);
			umask(mask);
		}
	}
}
