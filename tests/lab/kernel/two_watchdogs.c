// SPDX-License-Identifier: GPL-2.0
/*
 * Two watchdogs that cannot be stopped once they run, for stories of the lab: a box may have one of its processor and one of a
 * microcontroller, and each resets it.
 *
 *	insmod two_watchdogs.ko [timeout=SECONDS] [deaf=N]
 *
 * timeout	of both, until somebody sets another.
 * deaf	the N-th of the two, 0 or 1, takes no food any more; may be changed while they run
 *	(/sys/module/two_watchdogs/parameters/deaf).
 *
 * Which of them bites is said on the console before the box is restarted.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>
#include <linux/timer.h>
#include <linux/watchdog.h>

#define COUNT 2

static uint timeout = 15;
module_param(timeout, uint, 0);
MODULE_PARM_DESC(timeout, "seconds");
static int deaf = -1;
module_param(deaf, int, 0644);
MODULE_PARM_DESC(deaf, "which of them takes no food");

struct dog {
	struct watchdog_device device;
	struct timer_list teeth;
};

static struct dog dogs[COUNT];

static void bite(struct timer_list *teeth)
{
	struct dog *dog = from_timer(dog, teeth, teeth);

	pr_crit("watchdog %td bites\n", dog - dogs);
	emergency_restart();
}

static int dog_ping(struct watchdog_device *device)
{
	struct dog *dog = container_of(device, struct dog, device);

	if (dog - dogs == deaf)
		return -EIO;
	mod_timer(&dog->teeth, jiffies + device->timeout * HZ);
	return 0;
}

/* The core wants one, and does not call it: nowayout is set. */
static int dog_stop(struct watchdog_device *device)
{
	struct dog *dog = container_of(device, struct dog, device);

	del_timer_sync(&dog->teeth);
	return 0;
}

static int dog_set_timeout(struct watchdog_device *device, unsigned int seconds)
{
	device->timeout = seconds;
	return 0;
}

static const struct watchdog_info info = {
	.identity = "two_watchdogs",
	.options = WDIOF_SETTIMEOUT | WDIOF_KEEPALIVEPING | WDIOF_MAGICCLOSE,
};

static const struct watchdog_ops ops = {
	.owner = THIS_MODULE,
	.start = dog_ping,
	.stop = dog_stop,
	.ping = dog_ping,
	.set_timeout = dog_set_timeout,
};

static int __init two_watchdogs_init(void)
{
	int i, error;

	for (i = 0; i < COUNT; i++) {
		struct platform_device *parent = platform_device_register_simple("two_watchdogs", i, NULL, 0);
		struct watchdog_device *device = &dogs[i].device;

		if (IS_ERR(parent))
			return PTR_ERR(parent);
		timer_setup(&dogs[i].teeth, bite, 0);
		device->info = &info;
		device->ops = &ops;
		device->parent = &parent->dev;
		device->timeout = timeout;
		device->min_timeout = 1;
		device->max_timeout = 100;
		watchdog_set_nowayout(device, true);
		error = watchdog_register_device(device);
		if (error)
			return error;
	}
	return 0;
}
module_init(two_watchdogs_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("two watchdogs that cannot be stopped, for tests");
