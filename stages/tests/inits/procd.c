/* A stand-in for OpenWrt's procd and ubusd, as far as a takeover depends on them: a service that is respawned, a message bus with the
 * objects `system` and `service`, and the execution of /sbin/upgraded. Compiled statically, because a box has no libraries.
 *
 * Words on its command line change its manners:
 *   novalidator  has no method validate_firmware_image (18.06)
 *   unserved     lists sysupgrade, and answers 3 to it (17.01)
 *   hung         answers nothing at all
 *   deaf         answers only calls without arguments
 *   order        writes the header's numbers in the machine's byte order (before 2016-02)
 *   late         acts on the first call with arguments after eight seconds only
 *   interrupted  answers 9 to two of three calls that run the validator: a read that a child's end interrupts (before 2020-01)
 *   busdies      loses ubusd after it was proved to listen, and does not find it again in the root that it sees
 *   early        executes at once and leaves the services alone (before 2021-11)
 *   watchdog     feeds /dev/watchdog, and hands it on open, with its number in the environment
 * Like ubusd it drops a new client when it cannot look up root in /etc/passwd.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS = 1, DATA = 2, LOOKUP = 4, INVOKE = 5 };
enum { A_STATUS = 1, A_OBJPATH = 2, A_OBJID = 3, A_METHOD = 4, A_DATA = 7 };
enum { SYSTEM = 0x51, SERVICE = 0x52 };
enum { OK = 0, INVALID_COMMAND = 1, INVALID_ARGUMENT = 2, METHOD_NOT_FOUND = 3, NOT_FOUND = 4, NO_DATA = 5, UNKNOWN_ERROR = 9 };

static int novalidator, unserved, hung, deaf, late, interrupted, busdies, order, early, watchdog = -1;

/* While there is a service that was added, for a story to look at. */
#define ADDED "/tmp/added"
/* Where a service is ended that is not executed yet: procd's own child takes SIGTERM for procd, and shuts the box down. */
#define SHUT_DOWN "/tmp/shut-down"

/* What the two processes tell each other. */
struct message {
	uint32_t object, status, length;
	char method[64];
	unsigned char data[4096];
};

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return ntohl(v);
}

static unsigned char *put32(unsigned char *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static unsigned char *attribute(unsigned char *p, int id, const void *data, uint32_t length)
{
	p = put32(p, (uint32_t)id << 24 | (length + 4));
	memcpy(p, data, length);
	memset(p + length, 0, -length & 3);
	return p + ((length + 3) & ~3U);
}

/* The text of this name among blobmsgs, or a null pointer. */
static const char *text_of(const unsigned char *p, uint32_t length, const char *name)
{
	while (length >= 4) {
		uint32_t head = get32(p), size = head & 0xffffff, named;
		if (size < 7 || size > length)
			return NULL;
		named = (uint32_t)p[4] << 8 | p[5];
		if ((head >> 24 & 0x7f) == 3 && named == strlen(name) && !memcmp(p + 6, name, named))
			return (const char *)p + 4 + ((2 + named + 1 + 3) & ~3U);
		size = (size + 3) & ~3U;
		if (size > length)
			return NULL;
		p += size;
		length -= size;
	}
	return NULL;
}

/* The words of the first list within: the command of a service. */
static int words_of(const unsigned char *p, uint32_t length, char *words[], int most)
{
	int count = 0;
	while (length >= 4 && count < most) {
		uint32_t head = get32(p), size = head & 0xffffff, named, skip;
		if (size < 7 || size > length)
			break;
		named = (uint32_t)p[4] << 8 | p[5];
		skip = 4 + ((2 + named + 1 + 3) & ~3U);
		if ((head >> 24 & 0x7f) == 1) {
			const unsigned char *q = p + skip, *end = p + size;
			while (q + 8 < end && count < most) {
				words[count++] = (char *)q + 8;
				q += ((get32(q) & 0xffffff) + 3) & ~3U;
			}
			return count;
		}
		if ((head >> 24 & 0x7f) == 2 && (count = words_of(p + skip, size - skip, words, most)) > 0)
			return count;
		size = (size + 3) & ~3U;
		if (size > length)
			break;
		p += size;
		length -= size;
	}
	return count;
}

static int read_all(int fd, void *to, size_t length)
{
	char *p = to;
	while (length) {
		ssize_t n = read(fd, p, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return 0;
		p += n;
		length -= (size_t)n;
	}
	return 1;
}

static void send_message(int fd, int type, const unsigned char *sequence, const unsigned char *data, uint32_t length)
{
	unsigned char out[8192] = { 0, (unsigned char)type, sequence[0], sequence[1] };
	uint32_t peer = order ? 0x12345678 : htonl(0x12345678);
	memcpy(out + 4, &peer, 4);
	put32(out + 8, length + 4);
	memcpy(out + 12, data, length);
	if (write(fd, out, 12 + length) < 0)
		return;
}

static void send_status(int fd, const unsigned char *sequence, uint32_t status)
{
	unsigned char data[16], number[4];
	put32(number, status);
	send_message(fd, STATUS, sequence, data, (uint32_t)(attribute(data, A_STATUS, number, 4) - data));
}

/* Answers one message of a client; 0 when the client is to be dropped. */
static int serve(int client, int procd)
{
	unsigned char head[12], body[8192], out[8192], *end = out, number[4];
	struct message message = { 0 };
	const char *path = NULL;
	uint32_t length, at = 0;

	if (!read_all(client, head, 12))
		return 0;
	length = (get32(head + 8) & 0xffffff) - 4;
	if (length > sizeof(body) || !read_all(client, body, length))
		return 0;
	while (at + 4 <= length) {
		uint32_t attr = get32(body + at), size = (attr & 0xffffff) - 4;
		unsigned char *content = body + at + 4;
		if (size > length - at - 4)
			return 0;
		switch (attr >> 24 & 0x7f) {
		case A_OBJPATH: path = (char *)content; break;
		case A_OBJID: message.object = get32(content); break;
		case A_METHOD: snprintf(message.method, sizeof(message.method), "%s", content); break;
		case A_DATA:
			if (size > sizeof(message.data))
				return 0;
			message.length = size;
			memcpy(message.data, content, size);
		}
		at += 4 + ((size + 3) & ~3U);
	}
	if (head[1] == LOOKUP) {
		uint32_t id = path && !strcmp(path, "system") ? SYSTEM : path && !strcmp(path, "service") ? SERVICE : 0;
		if (!id) {
			send_status(client, head + 2, NOT_FOUND);
			return 1;
		}
		put32(number, id);
		end = attribute(end, A_OBJPATH, path, (uint32_t)strlen(path) + 1);
		end = attribute(end, A_OBJID, number, 4);
		send_message(client, DATA, head + 2, out, (uint32_t)(end - out));
		send_status(client, head + 2, OK);
	} else if (head[1] == INVOKE) {
		if (write(procd, &message, sizeof(message)) != sizeof(message) || !read_all(procd, &message, sizeof(message)))
			return 0;
		if (message.length) {
			end = attribute(end, A_DATA, message.data, message.length);
			send_message(client, DATA, head + 2, out, (uint32_t)(end - out));
		}
		send_status(client, head + 2, message.status);
	} else {
		send_status(client, head + 2, INVALID_COMMAND);
	}
	return 1;
}

/* ubusd looks up by whom a client runs, in the root that it sees. */
static int root_is_known(void)
{
	char line[256];
	FILE *file = fopen("/etc/passwd", "r");
	int found = 0;
	while (file && fgets(line, sizeof(line), file))
		found |= !strncmp(line, "root:", 5);
	if (file)
		fclose(file);
	return found;
}

static void ubusd(int listener, int procd)
{
	struct pollfd fds[16] = { { .fd = listener, .events = POLLIN } };
	static const unsigned char none[2];
	nfds_t count = 1;

	for (;;) {
		if (poll(fds, count, -1) < 0)
			continue;
		for (nfds_t i = 1; i < count; i++) {
			if (!fds[i].revents || (!hung && serve(fds[i].fd, procd)))
				continue;
			close(fds[i].fd);
			fds[i--] = fds[--count];
		}
		if (fds[0].revents && count < 16) {
			int client = accept(listener, NULL, NULL);
			if (client >= 0 && root_is_known()) {
				fds[count++] = (struct pollfd){ .fd = client, .events = POLLIN };
				send_message(client, 0, none, none, 0);
			} else {
				close(client);
			}
		}
	}
}

static int is_executed(pid_t pid)
{
	char path[64], its[256], ours[256];
	ssize_t n, m;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, its, sizeof(its));
	m = readlink("/proc/self/exe", ours, sizeof(ours));
	return n < 0 || n != m || memcmp(its, ours, (size_t)n);
}

static pid_t start(char *const argv[])
{
	pid_t pid = fork();
	if (!pid) {
		close(watchdog);
		usleep(20000);
		execv(argv[0], argv);
		_exit(127);
	}
	return pid;
}

/* Runs the validator of the root that we see, and relays the one key that a story looks for, as a text. */
static uint32_t validate(struct message *message)
{
	char json[4096] = "", *at, *end;
	static const char path[] = "/usr/libexec/validate_firmware_image";
	unsigned char blob[256] = { 0, 7, 'f', 'l', 'a', 's', 'h', 'e', 'r', 0, 0, 0 };
	uint32_t length;
	int fds[2];
	ssize_t n, have = 0;

	if (interrupted && interrupted++ % 3) {
		message->length = 0;
		return UNKNOWN_ERROR;
	}
	if (pipe(fds))
		return UNKNOWN_ERROR;
	if (!fork()) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(watchdog);
		execl(path, path, "/x", NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((n = read(fds[0], json + have, sizeof(json) - 1 - (size_t)have)) > 0)
		have += n;
	close(fds[0]);
	wait(NULL);
	if (!strstr(json, "\"valid\"") || !strstr(json, "\"forceable\"") || !strstr(json, "\"allow_backup\""))
		return UNKNOWN_ERROR;
	at = strstr(json, "\"flasher\":\"");
	end = at ? strchr(at + 11, '"') : NULL;
	message->length = 0;
	if (end && end - at < 200) {
		length = (uint32_t)(end - at) - 11;
		memcpy(blob + 12, at + 11, length);
		blob[12 + length] = 0;
		length += 12 + 1;
		put32(message->data, 0x83000000U | (length + 4));
		memcpy(message->data + 4, blob, length);
		message->length = 4 + ((length + 3) & ~3U);
	}
	return OK;
}

int main(int argc, char **argv)
{
	char *service[] = { "/bin/sh", "/etc/service", NULL };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/var/run/ubus/ubus.sock" };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), pair[2];
	pid_t bus, serving, marker = 0;

	for (int i = 1; i < argc; i++) {
		novalidator |= !strcmp(argv[i], "novalidator");
		unserved |= !strcmp(argv[i], "unserved");
		hung |= !strcmp(argv[i], "hung");
		deaf |= !strcmp(argv[i], "deaf");
		late |= !strcmp(argv[i], "late");
		interrupted |= !strcmp(argv[i], "interrupted");
		busdies |= !strcmp(argv[i], "busdies");
		order |= !strcmp(argv[i], "order");
		early |= !strcmp(argv[i], "early");
		if (!strcmp(argv[i], "watchdog"))
			watchdog = open("/dev/watchdog", O_WRONLY);
	}
	if (watchdog >= 0) {
		char number[16];
		snprintf(number, sizeof(number), "%d", watchdog);
		setenv("WDTFD", number, 1);
	}
	signal(SIGPIPE, SIG_IGN);
	mkdir("/var", 0755);
	mkdir("/var/run", 0755);
	mkdir("/var/run/ubus", 0755);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 8) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 1;
	bus = fork();
	if (!bus) {
		close(pair[0]);
		close(watchdog);
		ubusd(listener, pair[1]);
	}
	close(pair[1]);
	close(listener);
	serving = start(service);
	for (;;) {
		struct pollfd fd = { .fd = pair[0], .events = POLLIN };
		struct message message;
		pid_t gone;

		if (watchdog >= 0 && write(watchdog, "X", 1) < 0)
			return 1;
		while ((gone = waitpid(-1, NULL, WNOHANG)) > 0)
			if (gone == serving) {
				sleep(1);
				serving = start(service);
			}
		if (poll(&fd, 1, 100) != 1 || !read_all(pair[0], &message, sizeof(message)))
			continue;
		if (deaf && message.length)
			continue;
		if (late && message.length) {
			late = 0;
			sleep(8);
		}
		message.status = METHOD_NOT_FOUND;
		if (message.object == SYSTEM && !strcmp(message.method, "validate_firmware_image") && !novalidator) {
			message.status = text_of(message.data, message.length, "path") ? validate(&message) : INVALID_ARGUMENT;
		} else if (message.object == SYSTEM && !strcmp(message.method, "sysupgrade") && !unserved) {
			const char *path = text_of(message.data, message.length, "path");
			const char *prefix = text_of(message.data, message.length, "prefix");
			/* The validator's answer takes their place. */
			path = path ? strdup(path) : NULL;
			prefix = prefix ? strdup(prefix) : NULL;
			message.status = INVALID_ARGUMENT;
			if (path && prefix && (novalidator || (message.status = validate(&message)) == OK)) {
				char *upgraded[] = { "/sbin/upgraded", (char *)path, NULL };
				if (!early) {
					kill(serving, SIGTERM);
					kill(bus, SIGTERM);
					usleep(50000);
				}
				if (!chroot(prefix))
					execv(upgraded[0], upgraded);
				message.status = UNKNOWN_ERROR;
			}
			message.length = 0;
		} else if (message.object == SERVICE && !strcmp(message.method, "add")) {
			char *words[8] = { 0 };
			message.status = INVALID_ARGUMENT;
			if (words_of(message.data, message.length, words, 7) > 0) {
				marker = start(words);
				message.status = OK;
				close(open(ADDED, O_WRONLY | O_CREAT, 0600));
			}
			message.length = 0;
		} else if (message.object == SERVICE && !strcmp(message.method, "delete")) {
			if (marker && !is_executed(marker))
				close(open(SHUT_DOWN, O_WRONLY | O_CREAT, 0600));
			if (marker)
				kill(marker, SIGTERM);
			marker = 0;
			unlink(ADDED);
			message.status = OK;
			message.length = 0;
		} else {
			message.length = 0;
		}
		if (write(pair[0], &message, sizeof(message)) < 0)
			continue;
		if (busdies && message.status == OK && (marker || message.length)) {
			usleep(50000);
			kill(bus, SIGKILL);
		}
	}
}
