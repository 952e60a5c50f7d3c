/*
 * Moves the wall clock of one process, so that a story can make it jump while everything else keeps the time.
 *
 * The file named by CLOCK_OFFSET_FILE holds the offset in whole seconds, as text. It is read again at most every
 * 5 ms; without a readable file the offset is the last one known. Monotonic clocks are left alone, as a jump of the
 * wall clock leaves them alone. A wait until a wall-clock time (pthread_cond_timedwait) is not moved: neither Redis nor
 * a Rust program waits in that way.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define READ_AGAIN_AFTER_NS (5 * 1000 * 1000LL)

typedef int (*clock_gettime_function)(clockid_t, struct timespec *);

static int real_clock_gettime(clockid_t clock, struct timespec *now) {
    static _Atomic(clock_gettime_function) found;
    clock_gettime_function function = atomic_load(&found);
    if (function == NULL) {
        function = (clock_gettime_function)dlsym(RTLD_NEXT, "clock_gettime");
        atomic_store(&found, function);
    }
    return function(clock, now);
}

/* What the file says, or `otherwise` when it cannot be read. */
static long offset_in_file(long otherwise) {
    const char *path = getenv("CLOCK_OFFSET_FILE");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return otherwise;
    }
    char text[32];
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) {
        return otherwise;
    }
    text[length] = '\0';
    return strtol(text, NULL, 10);
}

/* Seconds to add to the wall clock. Whoever asks for the time expects errno to stay as it was. */
static long offset(void) {
    static _Atomic long known;
    static _Atomic long long read_again_at;
    struct timespec monotonic;
    real_clock_gettime(CLOCK_MONOTONIC, &monotonic);
    long long now = monotonic.tv_sec * 1000000000LL + monotonic.tv_nsec;
    if (atomic_load(&read_again_at) <= now) {
        int before = errno;
        atomic_store(&read_again_at, now + READ_AGAIN_AFTER_NS);
        atomic_store(&known, offset_in_file(atomic_load(&known)));
        errno = before;
    }
    return atomic_load(&known);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = real_clock_gettime(clock, now);
    int is_wall_clock = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
    if (result == 0 && is_wall_clock) {
        now->tv_sec += offset();
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone; /* obsolete, and always UTC */
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    if (result == 0) {
        now->tv_sec = precise.tv_sec;
        now->tv_usec = precise.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *seconds) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (seconds != NULL) {
        *seconds = precise.tv_sec;
    }
    return precise.tv_sec;
}
