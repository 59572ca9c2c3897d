/* served DIR: serves a directory with nothing in it, by FUSE, with a process in it; then the server is stopped, and whoever asks it
 * for anything waits for ever. */
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int fuse)
{
	static char request[1 << 17];

	while (read(fuse, request, sizeof request) > 0) {
		struct fuse_in_header *in = (void *)request;
		struct fuse_out_header out = { .len = sizeof out, .unique = in->unique };
		struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 4096 };
		struct fuse_attr_out about = { .attr = { .ino = 1, .mode = 040755, .nlink = 2 } };
		struct iovec answer[] = { { &out, sizeof out }, { NULL, 0 } };

		if (in->opcode == FUSE_INIT)
			answer[1] = (struct iovec){ &init, sizeof init };
		else if (in->opcode == FUSE_GETATTR)
			answer[1] = (struct iovec){ &about, sizeof about };
		else if (in->opcode != FUSE_ACCESS)
			out.error = -38;
		out.len += answer[1].iov_len;
		if (writev(fuse, answer, 2) < 0)
			return;
	}
}

int main(int argc, char **argv)
{
	int fuse = open("/dev/fuse", O_RDWR), ready[2];
	char options[64], byte;
	pid_t server;

	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	if (argc != 2 || fuse < 0 || pipe(ready) || mount("served", argv[1], "fuse", 0, options)) {
		perror("served");
		return 1;
	}
	server = fork();
	if (!server) {
		serve(fuse);
		return 0;
	}
	close(fuse);
	if (!fork()) {
		if (chdir(argv[1]) || kill(server, SIGSTOP) || write(ready[1], "", 1) != 1)
			return 1;
		for (;;)
			pause();
	}
	close(ready[1]);
	return read(ready[0], &byte, 1) != 1;
}
