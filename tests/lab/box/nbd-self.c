/*
 * nbd-self FILE     shows FILE or a block device as /dev/nbd0, read-only, and goes on in the background
 *
 * Server and client of one network block device in one, over a socket pair: what `nbdkit` and `nbd-client` do, by the kernel's own
 * header.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int all(ssize_t (*move)(int, void *, size_t), int fd, void *bytes, size_t length)
{
	while (length) {
		ssize_t moved = move(fd, bytes, length);

		if (moved <= 0)
			return 0;
		bytes = (char *)bytes + moved;
		length -= moved;
	}
	return 1;
}

static ssize_t put(int fd, void *bytes, size_t length)
{
	return write(fd, bytes, length);
}

static void serve(int file, int peer)
{
	static char buffer[1 << 20];
	struct nbd_request request;

	while (all(read, peer, &request, sizeof request)) {
		struct nbd_reply reply = { .magic = htobe32(NBD_REPLY_MAGIC) };
		size_t length = be32toh(request.len);

		if (be32toh(request.type) == NBD_CMD_DISC)
			return;
		memcpy(reply.handle, request.handle, sizeof reply.handle);
		if (be32toh(request.type) != NBD_CMD_READ || length > sizeof buffer ||
		    pread64(file, buffer, length, be64toh(request.from)) != (ssize_t)length)
			reply.error = htobe32(5), length = 0;
		if (!all(put, peer, &reply, sizeof reply) || !all(put, peer, buffer, length))
			return;
	}
}

int main(int argc, char **argv)
{
	int file, device, pair[2];
	off64_t size;

	if (argc != 2)
		errx(2, "usage: nbd-self FILE");
	file = open(argv[1], O_RDONLY);
	size = file < 0 ? -1 : lseek64(file, 0, SEEK_END);
	if (size < 0)
		err(1, "%s", argv[1]);
	device = open("/dev/nbd0", O_RDWR);
	if (device < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		err(1, "/dev/nbd0");
	if (ioctl(device, NBD_SET_BLKSIZE, 1024UL) || ioctl(device, NBD_SET_SIZE_BLOCKS, (unsigned long)(size / 1024)) ||
	    ioctl(device, NBD_SET_FLAGS, (unsigned long)(NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY)) ||
	    ioctl(device, NBD_SET_SOCK, pair[0]))
		err(1, "/dev/nbd0");
	if (daemon(0, 0))
		err(1, "daemon");
	if (fork() == 0) {
		close(pair[1]);
		ioctl(device, NBD_DO_IT);
		return 0;
	}
	close(pair[0]);
	serve(file, pair[1]);
	return 0;
}
