/* std names its threads with this. That of musl can name another thread too, through a path in /proc, and brings the whole
   of printf for it: 10 kB on ARM. std names each thread from within, which is a system call (prctl(2), PR_SET_NAME). */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>

int pthread_setname_np(pthread_t thread, const char *name)
{
    if (!pthread_equal(thread, pthread_self()))
        return ENOSYS;
    return prctl(PR_SET_NAME, name, 0ul, 0ul, 0ul) ? errno : 0;
}
