/*
 * stack-block ubiblock VOLUME            makes the block device of a UBI volume: /dev/ubiblockX_Y
 * stack-block linear NAME DEVICE         makes a read-only device-mapper device of all of DEVICE: /dev/dm-N
 *
 * What `ubiblock -c` and `dmsetup create` do, by the kernel's own headers; busybox has neither.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <mtd/ubi-user.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void ubiblock(const char *volume)
{
	struct ubi_blkcreate_req unused = { 0 };
	int fd = open(volume, O_RDWR);

	if (fd < 0 || ioctl(fd, UBI_IOCVOLCRBLK, &unused))
		err(1, "%s", volume);
}

/* A request with room for one target behind it. */
struct request {
	struct dm_ioctl head;
	struct dm_target_spec target;
	char parameters[256];
};

static void ask(int control, unsigned long what, const char *called, struct request *request)
{
	if (ioctl(control, what, request))
		err(1, "%s", called);
}

static struct request for_device(const char *name)
{
	struct request request = { 0 };

	request.head.version[0] = DM_VERSION_MAJOR;
	request.head.data_size = sizeof request;
	request.head.data_start = offsetof(struct request, target);
	request.head.flags = DM_READONLY_FLAG;
	strncpy(request.head.name, name, sizeof request.head.name - 1);
	return request;
}

static void linear(const char *name, const char *device)
{
	int control = open("/dev/mapper/control", O_RDWR), source = open(device, O_RDONLY);
	unsigned long long bytes;
	struct request request;

	if (control < 0)
		err(1, "/dev/mapper/control");
	if (source < 0 || ioctl(source, BLKGETSIZE64, &bytes))
		err(1, "%s", device);
	close(source);

	request = for_device(name);
	ask(control, DM_DEV_CREATE, "create", &request);
	request = for_device(name);
	request.head.target_count = 1;
	request.target.length = bytes / 512;
	strcpy(request.target.target_type, "linear");
	snprintf(request.parameters, sizeof request.parameters, "%s 0", device);
	ask(control, DM_TABLE_LOAD, "load", &request);
	request = for_device(name);
	/* Without DM_SUSPEND_FLAG it resumes, which puts the table into force. */
	ask(control, DM_DEV_SUSPEND, "resume", &request);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "ubiblock"))
		ubiblock(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "linear"))
		linear(argv[2], argv[3]);
	else
		errx(2, "usage: stack-block ubiblock VOLUME | linear NAME DEVICE");
	return 0;
}
