/* Holds the functions of memory.c against loops over bytes: every length up to some registers' worth, at every distance from
   a word's edge, and for memcmp with a difference at every byte. Their own names are others here, so that the libc stays whole. */
#define memcpy our_memcpy
#define memmove our_memmove
#define memset our_memset
#define memcmp our_memcmp
#define bcmp our_bcmp
#include "memory.c"
#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 192, LONGEST = 140, EDGES = 2 * WORD + 1 };
static unsigned char one[ROOM], other[ROOM], right[ROOM];

static void wrong(const char *what, int to, int from, int length)
{
    printf("%s of %d bytes from %d to %d is wrong\n", what, length, from, to);
    exit(1);
}

static void equal(const char *what, const unsigned char *found, int to, int from, int length)
{
    for (int at = 0; at < ROOM; at++)
        if (found[at] != right[at])
            wrong(what, to, from, length);
}

static int sign(int number) { return (number > 0) - (number < 0); }

static void differences(int to, int from, int length)
{
    if (memcmp(other + to, one + from, length) != 0)
        wrong("memcmp", to, from, length);
    for (int at = 0; at < length; at++) {
        unsigned char keep = other[to + at], last = other[to + length - 1];
        other[to + length - 1] ^= 0x55; /* Only the first difference counts. */
        other[to + at] = keep ^ (1 + rand() % 255);
        if (sign(memcmp(other + to, one + from, length)) != sign(other[to + at] - one[from + at]))
            wrong("memcmp", to, from, length);
        other[to + length - 1] = last, other[to + at] = keep;
    }
}

static void all(int to, int from, int length)
{
    for (int at = 0; at < ROOM; at++)
        one[at] = rand(), other[at] = right[at] = rand();
    for (int at = 0; at < length; at++)
        right[to + at] = one[from + at];
    if (memcpy(other + to, one + from, length) != other + to)
        wrong("memcpy", to, from, length);
    equal("memcpy", other, to, from, length);
    differences(to, from, length);

    for (int at = 0; at < ROOM; at++)
        right[at] = one[at];
    for (int at = 0; at < length; at++)
        right[to + at] = one[from + at];
    for (int at = 0; at < ROOM; at++)
        other[at] = one[at];
    memmove(other + to, other + from, length);
    equal("memmove", other, to, from, length);

    for (int at = 0; at < length; at++)
        right[to + at] = 0x100 - from;
    memset(other + to, -from, length);
    equal("memset", other, to, from, length);
}

int main(void)
{
    for (int to = 0; to < EDGES; to++)
        for (int from = 0; from < EDGES; from++)
            for (int length = 0; length < LONGEST; length++)
                all(to, from, length);
    return 0;
}
