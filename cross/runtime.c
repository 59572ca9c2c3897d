/* What std asks of the C side and what would bring code along that nobody needs: 3 % of a binary. */
#include <sys/prctl.h>

/* std names its threads, each one itself. musl's function names others too, for which it brings printf. */
int pthread_setname_np(void *thread, const char *name)
{
    (void)thread;
    return prctl(PR_SET_NAME, name);
}

/* For a backtrace. There are no tables to unwind by (cross/build), so no frame is the right answer. */
int _Unwind_Backtrace(void *each, void *argument)
{
    (void)each, (void)argument;
    return 5; /* _URC_END_OF_STACK */
}

/* Never called, for want of a frame. All that std and zig's runtime name are here: one from the library brings all of it. */
#define NEVER(name) \
    void name(void) { __builtin_trap(); }
NEVER(_Unwind_DeleteException)
NEVER(_Unwind_FindEnclosingFunction)
NEVER(_Unwind_GetCFA)
NEVER(_Unwind_GetDataRelBase)
NEVER(_Unwind_GetLanguageSpecificData)
NEVER(_Unwind_GetRegionStart)
NEVER(_Unwind_GetTextRelBase)
NEVER(_Unwind_RaiseException)
NEVER(_Unwind_Resume)
#ifdef __arm__
NEVER(_Unwind_VRS_Get)
NEVER(_Unwind_VRS_Set)
NEVER(__aeabi_unwind_cpp_pr0)
NEVER(__aeabi_unwind_cpp_pr1)
NEVER(__gnu_unwind_frame)
#else
NEVER(_Unwind_GetGR)
NEVER(_Unwind_GetIP)
NEVER(_Unwind_GetIPInfo)
NEVER(_Unwind_SetGR)
NEVER(_Unwind_SetIP)
#endif
