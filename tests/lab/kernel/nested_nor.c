// SPDX-License-Identifier: GPL-2.0
/*
 * A NOR chip of 16 MiB in RAM, whose partitions have partitions, for stories of the lab.
 *
 * The kernel's own mtdram has one partition and no erase blocks of 64 KiB; and what device trees and OpenWrt's splitters do -
 * partitions inside of partitions, of which sysfs tells the offset in the one around them - needs a driver that asks for it.
 *
 *	insmod nested_nor.ko parts=NAME:OFFSET:SIZE[:PARENT],... [whole=NAME] [concat=FIRST:SECOND:NAME]
 *
 * parts	partitions in order, offsets and sizes in bytes (0x... or decimal). With PARENT, the name of an earlier partition,
 *	the offset counts from there. Size 0 is the rest of what is around it.
 * whole	lists the whole chip too, under that name and in front, as CONFIG_MTD_PARTITIONED_MASTER does for every driver.
 * concat	joins two earlier partitions end to end into a device of its own, as mtd_concat users do (`virtual_flash`).
 *
 * An MTD that is in use keeps the module loaded; there is no unloading, because boxes are switched off.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/module.h>
#include <linux/mtd/concat.h>
#include <linux/mtd/mtd.h>
#include <linux/mtd/partitions.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define CHIP_SIZE (16u << 20)
#define ERASE_SIZE (64u << 10)
#define MOST_PARTS 24

static char *parts = "";
module_param(parts, charp, 0);
MODULE_PARM_DESC(parts, "NAME:OFFSET:SIZE[:PARENT],...");
static char *whole;
module_param(whole, charp, 0);
MODULE_PARM_DESC(whole, "the name under which the whole chip is listed too");
static char *concat;
module_param(concat, charp, 0);
MODULE_PARM_DESC(concat, "FIRST:SECOND:NAME");

/* A partition as `parts` has it. */
struct wanted {
	char *name;
	char *parent;
	unsigned long offset;
	unsigned long size;
};

static struct platform_device *device;
static struct mtd_info chip;
static u8 *content;

static int nor_erase(struct mtd_info *mtd, struct erase_info *what)
{
	memset(content + what->addr, 0xff, what->len);
	return 0;
}

static int nor_read(struct mtd_info *mtd, loff_t from, size_t length, size_t *done, u_char *to)
{
	memcpy(to, content + from, length);
	*done = length;
	return 0;
}

/* Programming clears bits and sets none: what was not erased before is not what was asked for. */
static int nor_write(struct mtd_info *mtd, loff_t to, size_t length, size_t *done, const u_char *from)
{
	size_t at;

	for (at = 0; at < length; at++)
		content[to + at] &= from[at];
	*done = length;
	return 0;
}

/* Takes `NAME:OFFSET:SIZE[:PARENT]` apart, in place. */
static int read_part(char *text, struct wanted *part)
{
	char *offset, *size;

	part->name = strsep(&text, ":");
	offset = strsep(&text, ":");
	size = strsep(&text, ":");
	part->parent = strsep(&text, ":");
	if (!offset || !size || kstrtoul(offset, 0, &part->offset) || kstrtoul(size, 0, &part->size))
		return -EINVAL;
	return 0;
}

/* The device of that name, without keeping it in use. */
static struct mtd_info *named(const char *name)
{
	struct mtd_info *mtd = get_mtd_device_nm(name);

	if (!IS_ERR(mtd))
		put_mtd_device(mtd);
	return mtd;
}

static int add_nested(const struct wanted *part)
{
	struct mtd_info *parent = named(part->parent);

	if (IS_ERR(parent))
		return PTR_ERR(parent);
	return mtd_add_partition(parent, part->name, part->offset,
				 part->size ? part->size : parent->size - part->offset);
}

static int add_concat(char *text)
{
	static struct mtd_info *two[2];
	struct mtd_info *both;
	int i;

	for (i = 0; i < 2; i++) {
		char *name = strsep(&text, ":");

		two[i] = name ? named(name) : ERR_PTR(-EINVAL);
		if (IS_ERR(two[i]))
			return PTR_ERR(two[i]);
	}
	both = text ? mtd_concat_create(two, 2, text) : NULL;
	return both ? mtd_device_register(both, NULL, 0) : -EINVAL;
}

static int __init nested_nor_init(void)
{
	static struct wanted all[MOST_PARTS];
	static struct mtd_partition flat[MOST_PARTS];
	int count = 0, flats = 0, i, error;
	char *text, *one;

	content = vmalloc(CHIP_SIZE);
	/* Partitions keep their names, so neither copy is ever freed. */
	text = kstrdup(parts, GFP_KERNEL);
	if (!content || !text)
		return -ENOMEM;
	memset(content, 0xff, CHIP_SIZE);
	while ((one = strsep(&text, ","))) {
		if (count == MOST_PARTS || read_part(one, &all[count]))
			return -EINVAL;
		count++;
	}

	device = platform_device_register_simple(KBUILD_MODNAME, -1, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	chip.name = whole ? whole : KBUILD_MODNAME;
	chip.owner = THIS_MODULE;
	chip.dev.parent = &device->dev;
	chip.type = MTD_NORFLASH;
	chip.flags = MTD_CAP_NORFLASH;
	chip.size = CHIP_SIZE;
	chip.erasesize = ERASE_SIZE;
	chip.writesize = 1;
	chip.writebufsize = 64;
	chip._erase = nor_erase;
	chip._read = nor_read;
	chip._write = nor_write;

	/*
	 * A chip that is registered without partitions is listed itself, and takes partitions all the same: sysfs shows those as
	 * partitions of it.
	 */
	for (i = 0; !whole && i < count; i++) {
		if (all[i].parent)
			continue;
		flat[flats].name = all[i].name;
		flat[flats].offset = all[i].offset;
		flat[flats].size = all[i].size ? all[i].size : MTDPART_SIZ_FULL;
		flats++;
	}
	error = mtd_device_register(&chip, flat, flats);
	for (i = 0; !error && i < count; i++) {
		if (!all[i].parent && !whole)
			continue;
		if (!all[i].parent)
			all[i].parent = whole;
		error = add_nested(&all[i]);
		if (error)
			pr_err("no partition %s: error %d\n", all[i].name, error);
	}
	if (!error && concat) {
		char *words = kstrdup(concat, GFP_KERNEL);

		error = words ? add_concat(words) : -ENOMEM;
	}
	return error;
}
module_init(nested_nor_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("NOR flash in RAM with nested partitions, for tests");
