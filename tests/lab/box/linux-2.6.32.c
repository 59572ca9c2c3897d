/*
 * linux-2.6.32 [PROGRAM [ARGUMENT...]]: runs a program, /sbin/init without any, on a kernel that knows no system call that is
 * newer than Linux 2.6.32. All others are answered with ENOSYS, for this process, its children and whatever they execute.
 *
 * System calls are numbered in the order in which an architecture got them, so the first newer one says it all:
 *
 *   ARM    365, recvmmsg (2.6.33), follows perf_event_open, the last one of v2.6.32 in arch/arm/include/asm/unistd.h;
 *          numbers from 0x0f0000 on are ARM's own (__ARM_NR_BASE) and older.
 *   MIPS   4335, recvmmsg (2.6.33), follows accept4, the last one of v2.6.32 for o32 in arch/mips/include/asm/unistd.h.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifdef __arm__
#define OWN 0x0f0000
#else
#define OWN 0xffffffff
#endif

/* What programs of today like to use; the versions are those of syscalls(2). */
static const int newer[] = {
	__NR_recvmmsg,		/* 2.6.33 */
	__NR_prlimit64,		/* 2.6.36 */
	__NR_syncfs,		/* 2.6.39 */
	__NR_renameat2,		/* 3.15 */
	__NR_getrandom,		/* 3.17 */
	__NR_memfd_create,	/* 3.17 */
	__NR_copy_file_range,	/* 4.5 */
	__NR_statx,		/* 4.11 */
	__NR_clock_gettime64,	/* 5.1 */
	__NR_openat2,		/* 5.6 */
};

enum { NEWER = sizeof newer / sizeof *newer };

/* How many of them the kernel knows. None of them does anything with these arguments. */
static int known(void)
{
	int count = 0;

	for (int i = 0; i < NEWER; i++) {
		errno = 0;
		syscall(newer[i], -1, 0, -1, 0, 0, 0);
		count += errno != ENOSYS;
	}
	return count;
}

int main(int argc, char **argv)
{
	static char *init[] = { "/sbin/init", NULL };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_recvmmsg, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, OWN, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = sizeof code / sizeof *code, .filter = code };
	int before = known();

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
		perror("linux-2.6.32: seccomp");
		return 1;
	}
	printf("linux-2.6.32: %d of %d newer calls worked, %d work now\n", before, NEWER, known());
	fflush(stdout);
	argv = argc > 1 ? argv + 1 : init;
	execv(argv[0], argv);
	perror(argv[0]);
	return 1;
}
