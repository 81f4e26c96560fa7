// How fast this core is just now, in nanoseconds an operation: arithmetic, dependent loads over 1 MiB, and a write and a read of a socket pair.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STEPS = 8000000, LINES = (1 << 20) / 64, LOADS = 2000000, CALLS = 30000 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double arithmetic(void) {
    volatile unsigned long state = 88172645463325252UL;
    double start = now();
    for (long i = 0; i < STEPS; i++) {
        unsigned long next = state;
        next ^= next << 13, next ^= next >> 7, next ^= next << 17;
        state = next;
    }
    return (now() - start) / STEPS;
}

// One cycle through all cache lines, in random order.
static double memory(void) {
    unsigned *chain = aligned_alloc(4096, LINES * 64), *order = malloc(LINES * sizeof *order), at = 0;
    if (!chain || !order) exit(1);
    srand(1);
    for (unsigned i = 0; i < LINES; i++) order[i] = i;
    for (unsigned i = LINES - 1; i > 0; i--) {
        unsigned other = (unsigned)rand() % (i + 1), kept = order[i];
        order[i] = order[other], order[other] = kept;
    }
    for (unsigned i = 0; i < LINES; i++) chain[order[i] * 16] = order[(i + 1) % LINES] * 16;
    for (unsigned i = 0; i < LINES; i++) at = chain[at];
    double start = now();
    for (long i = 0; i < LOADS; i++) at = chain[at];
    double each = (now() - start) / LOADS;
    if (at == 1) puts("");  // the loads are used
    return each;
}

static double calls(void) {
    int pair[2];
    char bytes[64] = {0};
    double start = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) exit(1);
    for (int i = -1000; i < CALLS; i++) {
        if (i == 0) start = now();
        if (write(pair[0], bytes, sizeof bytes) != sizeof bytes || read(pair[1], bytes, sizeof bytes) != sizeof bytes) exit(1);
    }
    return (now() - start) / CALLS;
}

int main(void) {
    printf("{\"arithmetic\":%.3f,\"memory\":%.2f,\"calls\":%.1f}\n", arithmetic(), memory(), calls());
}
