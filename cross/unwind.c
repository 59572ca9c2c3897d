/* std walks the stack for RUST_BACKTRACE. There are no tables to walk by (-Cforce-unwind-tables=no), so these say at
   once that the stack has ended. They stand for Zig's libunwind, which with the printf that it brings takes 45 kB on MIPS.
   Signatures: Itanium C++ ABI, "Exception Handling", 1.5.3; on ARM, EHABI 7.5. */

#define END_OF_STACK 5

int _Unwind_Backtrace(void *each, void *argument)
{
    (void)each;
    (void)argument;
    return END_OF_STACK;
}

unsigned long _Unwind_GetIP(void *frame)
{
    (void)frame;
    return 0;
}

#ifdef __arm__
int _Unwind_VRS_Get(void *frame, int class, unsigned number, int representation, unsigned *value)
{
    (void)frame, (void)class, (void)number, (void)representation;
    *value = 0;
    return 0;
}
#endif
