/* The memory functions, a word at a time. zig's, which come with a runtime made for size, go byte by byte: on an ARM926
   seven instructions to copy a byte and nine to compare it, in a program that copies and compares megabytes. Where two
   addresses are not a multiple of a word apart, a byte at a time is what the processors of the boxes can do.

   Compiled with -fno-builtin, or the compiler would know these loops for what they are, and make them calls of themselves. */
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t __attribute__((may_alias)) word;
enum { WORD = sizeof(word), MANY = 4 * WORD };

static int aligned(const void *address) { return (uintptr_t)address % WORD == 0; }
static int in_step(const void *one, const void *other) { return ((uintptr_t)one ^ (uintptr_t)other) % WORD == 0; }

/* While there are many bytes; some are left. On ARM as many registers at a time as there are, which no compiler does for a
   loop. */
static void copy_many(unsigned char **to, const unsigned char **from, size_t *length)
{
#ifdef __arm__
    __asm__ volatile("1: subs %2, %2, #32\n"
                     "   ldmiahs %1!, {r3-r10}\n"
                     "   stmiahs %0!, {r3-r10}\n"
                     "   bhs 1b\n"
                     "   add %2, %2, #32\n"
                     : "+r"(*to), "+r"(*from), "+r"(*length)
                     :
                     : "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "cc", "memory");
#else
    for (; *length >= MANY; *length -= MANY, *to += MANY, *from += MANY) {
        const word *source = (const word *)*from;
        word *target = (word *)*to, a = source[0], b = source[1], c = source[2], d = source[3];
        target[0] = a, target[1] = b, target[2] = c, target[3] = d;
    }
#endif
}

/* While there are many bytes, and they are the same. */
static void skip_same(const unsigned char **one, const unsigned char **other, size_t *length)
{
#ifdef __arm__
    __asm__ volatile("1: subs %2, %2, #16\n"
                     "   blo 2f\n"
                     "   ldmia %0!, {r3-r6}\n"
                     "   ldmia %1!, {r7-r10}\n"
                     "   cmp r3, r7\n"
                     "   cmpeq r4, r8\n"
                     "   cmpeq r5, r9\n"
                     "   cmpeq r6, r10\n"
                     "   beq 1b\n"
                     "   sub %0, %0, #16\n"
                     "   sub %1, %1, #16\n"
                     "2: add %2, %2, #16\n"
                     : "+r"(*one), "+r"(*other), "+r"(*length)
                     :
                     : "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "cc", "memory");
#else
    for (; *length >= MANY; *length -= MANY, *one += MANY, *other += MANY) {
        const word *a = (const word *)*one, *b = (const word *)*other;
        if ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]))
            break;
    }
#endif
}

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    unsigned char *put = to;
    const unsigned char *get = from;
    if (length >= MANY && in_step(put, get)) {
        for (; !aligned(put); length--)
            *put++ = *get++;
        copy_many(&put, &get, &length);
        for (; length >= WORD; length -= WORD, put += WORD, get += WORD)
            *(word *)put = *(const word *)get;
    }
    for (; length; length--)
        *put++ = *get++;
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    unsigned char *put = to;
    const unsigned char *get = from;
    /* Ascending order is right unless the target begins inside the source. */
    if ((uintptr_t)put - (uintptr_t)get >= length)
        return memcpy(to, from, length);
    put += length, get += length;
    if (length >= MANY && in_step(put, get)) {
        for (; !aligned(put); length--)
            *--put = *--get;
        for (; length >= WORD; length -= WORD) {
            put -= WORD, get -= WORD;
            *(word *)put = *(const word *)get;
        }
    }
    for (; length; length--)
        *--put = *--get;
    return to;
}

void *memset(void *to, int byte, size_t length)
{
    unsigned char *put = to;
    if (length >= MANY) {
        word filled = (word)-1 / 0xff * (unsigned char)byte;
        for (; !aligned(put); length--)
            *put++ = byte;
        for (; length >= MANY; length -= MANY, put += MANY) {
            word *target = (word *)put;
            target[0] = filled, target[1] = filled, target[2] = filled, target[3] = filled;
        }
    }
    for (; length; length--)
        *put++ = byte;
    return to;
}

int memcmp(const void *one, const void *other, size_t length)
{
    const unsigned char *left = one, *right = other;
    if (length >= MANY && in_step(left, right)) {
        for (; !aligned(left) && *left == *right; length--)
            left++, right++;
        /* The bytes of words that differ are looked at below. */
        if (aligned(left))
            skip_same(&left, &right, &length);
    }
    for (; length; length--, left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

/* Equal or not is all that is asked of it. */
int bcmp(const void *one, const void *other, size_t length) { return memcmp(one, other, length); }
