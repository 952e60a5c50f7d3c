/*
 * Notes how much of Redis' append-only file is on disk, so that a story can take away the rest as a power loss would.
 *
 * After each successful fsync or fdatasync of a file `*.incr.aof`, the file of the same name in the folder
 * DURABLE_LENGTH_DIRECTORY holds its durable length in bytes, as text of a fixed width. The length is taken before the
 * sync: what is appended meanwhile may or may not be on disk, and a power loss is allowed to take it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".incr.aof"
/* Digits of the largest 64-bit number. */
#define WIDTH 20

typedef int (*sync_function)(int);

/* Writes the path of the file with this descriptor if it is an append-only file, and returns whether it is. */
static int is_append_only_file(int descriptor, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, size - 1);
    if (length < (ssize_t)strlen(SUFFIX)) {
        return 0;
    }
    path[length] = '\0';
    return strcmp(path + length - strlen(SUFFIX), SUFFIX) == 0;
}

/* One short write over the number before: a process that is killed leaves either the old one or the new one. */
static void note(const char *append_only_file, long long length) {
    const char *folder = getenv("DURABLE_LENGTH_DIRECTORY");
    if (folder == NULL) {
        return;
    }
    char path[4096], text[WIDTH + 1];
    int needed = snprintf(path, sizeof path, "%s/%s", folder, strrchr(append_only_file, '/') + 1);
    if (needed < 0 || (size_t)needed >= sizeof path) {
        return;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) {
        return;
    }
    snprintf(text, sizeof text, "%0*lld", WIDTH, length);
    if (pwrite(file, text, WIDTH, 0) != WIDTH) {
        fprintf(stderr, "durable_length: cannot write %s\n", path);
    }
    close(file);
}

static int sync_and_note(sync_function real, int descriptor) {
    char path[4096];
    struct stat before;
    int noted = is_append_only_file(descriptor, path, sizeof path) && fstat(descriptor, &before) == 0;
    int result = real(descriptor);
    if (result == 0 && noted) {
        int kept = errno;
        note(path, before.st_size);
        errno = kept;
    }
    return result;
}

static sync_function found(_Atomic(sync_function) *known, const char *name) {
    sync_function function = atomic_load(known);
    if (function == NULL) {
        function = (sync_function)dlsym(RTLD_NEXT, name);
        atomic_store(known, function);
    }
    return function;
}

int fdatasync(int descriptor) {
    static _Atomic(sync_function) known;
    return sync_and_note(found(&known, "fdatasync"), descriptor);
}

int fsync(int descriptor) {
    static _Atomic(sync_function) known;
    return sync_and_note(found(&known, "fsync"), descriptor);
}
