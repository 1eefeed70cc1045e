/* Faults at one chosen system call of a process that has armed itself; see faults.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The order and the values are those of Call and Action in faults.py. */
enum call { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, UNLINK = 16, LINK = 32, MKDIR = 64,
            RMDIR = 128, TRUNCATE = 256 };
enum action { NONE, KILL_BEFORE, KILL_AFTER, TEAR, POWER_CUT, FAIL_ONCE, FAIL_ON };

#define MOST_FILES 512

struct file {
    char path[PATH_MAX];
    off_t synced; /* size at the last fsync */
    int dirty;    /* written to since then */
    int named;    /* its name was in its folder when that was last synced, or before */
};

static pid_t armed;
static char prefix[PATH_MAX];
static size_t prefix_length;
static unsigned kinds;
static long number, counted;
static int action, error_number, trace = -1;
static struct file files[MOST_FILES];
static int file_count;
static pthread_mutex_t files_lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Begin to count, and to act on call `first` of the kinds in a mask, under a folder. */
void faults_arm(const char *folder, unsigned mask, long first, int what, int error,
                const char *trace_path) {
    snprintf(prefix, sizeof prefix, "%s", folder);
    prefix_length = strlen(prefix);
    kinds = mask, number = first, action = what, error_number = error;
    if (*trace_path)
        trace = REAL(open)(trace_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    armed = getpid();
}

static int ours(const char *path) {
    return armed == getpid() && path && !strncmp(path, prefix, prefix_length) &&
           (path[prefix_length] == '/' || !path[prefix_length]);
}

static char *at_folder(int folder, const char *path, char *whole) {
    char base[PATH_MAX], link[64];
    if (path && *path == '/')
        return strcpy(whole, path);
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0)
        return NULL;
    base[length] = 0;
    int fits = snprintf(whole, PATH_MAX, path ? "%s/%s" : "%s", base, path) < PATH_MAX;
    return fits ? whole : NULL;
}

static struct file *find(const char *path) {
    for (int i = 0; i < file_count; i++)
        if (!strcmp(files[i].path, path))
            return &files[i];
    if (file_count == MOST_FILES)
        abort();
    struct file *file = &files[file_count++];
    struct stat facts;
    int exists = !stat(path, &facts);
    *file = (struct file){.synced = exists ? facts.st_size : 0, .named = exists};
    strcpy(file->path, path);
    return file;
}

static void forget(const char *path) {
    for (int i = 0; i < file_count; i++)
        if (!strcmp(files[i].path, path))
            files[i--] = files[--file_count];
}

static void name_all_in(const char *folder) {
    size_t length = strlen(folder);
    for (int i = 0; i < file_count; i++)
        if (!strncmp(files[i].path, folder, length) && files[i].path[length] == '/' &&
            !strchr(files[i].path + length + 1, '/'))
            files[i].named = 1;
}

/* Call before a change of a file, so that its size is that of before. */
static void note_change(const char *path) {
    pthread_mutex_lock(&files_lock);
    find(path)->dirty = 1;
    pthread_mutex_unlock(&files_lock);
}

static void note_sync(const char *path) {
    struct stat facts;
    if (stat(path, &facts))
        return;
    pthread_mutex_lock(&files_lock);
    if (S_ISDIR(facts.st_mode))
        name_all_in(path);
    else {
        struct file *file = find(path);
        file->synced = facts.st_size, file->dirty = 0;
    }
    pthread_mutex_unlock(&files_lock);
}

/* A rename over a file that is there is taken to last; what was there is not kept to be restored. */
static void note_rename(const char *from, const char *to, int replaced) {
    pthread_mutex_lock(&files_lock);
    forget(to);
    struct file *file = find(from);
    strcpy(file->path, to);
    file->named = replaced;
    pthread_mutex_unlock(&files_lock);
}

/* A name that is not synced may last all the same: at even points every second one does. */
static int is_lost(int file) {
    return !files[file].named && (number % 2 || file % 2 == number / 2 % 2);
}

static void lose_what_is_not_synced(void) {
    for (int i = 0; i < file_count; i++) {
        if (is_lost(i))
            syscall(SYS_unlink, files[i].path);
        else if (files[i].dirty)
            syscall(SYS_truncate, files[i].path, files[i].synced);
    }
}

static void die(void) {
    for (;;)
        syscall(SYS_kill, getpid(), SIGKILL);
}

static const char *name_of(enum call call) {
    static const char *names[] = {"open", "write", "fsync", "rename", "unlink",
                                  "link", "mkdir", "rmdir", "truncate"};
    return names[__builtin_ctz(call)];
}

/* Count a call. Return what to do with it: nothing, or what comes after or instead of it. */
static enum action meet(enum call call, const char *path) {
    if (!ours(path) || !(kinds & call))
        return NONE;
    int before = errno;
    long count = __atomic_add_fetch(&counted, 1, __ATOMIC_SEQ_CST);
    if (trace >= 0)
        dprintf(trace, "%ld\t%s\t%s\n", count, name_of(call), path);
    errno = before;
    if (count != number && !(action == FAIL_ON && count > number))
        return NONE;
    if (action == POWER_CUT)
        lose_what_is_not_synced();
    if (action == POWER_CUT || action == KILL_BEFORE)
        die();
    if (action == FAIL_ONCE || action == FAIL_ON)
        errno = error_number;
    return action;
}

static int fails(enum action what) { return what == FAIL_ONCE || what == FAIL_ON; }

static void finish(enum action what) {
    if (what == KILL_AFTER || what == TEAR)
        die();
}

static int writes(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX], *place = writes(flags) ? at_folder(folder, path, whole) : NULL;
    enum action what = meet(OPEN, place);
    if (fails(what))
        return -1;
    if (ours(place) && flags & (O_CREAT | O_TRUNC)) {
        pthread_mutex_lock(&files_lock);
        struct file *file = find(place);
        file->dirty |= !!(flags & O_TRUNC);
        if (flags & O_TRUNC)
            file->synced = 0;
        pthread_mutex_unlock(&files_lock);
    }
    int descriptor = syscall(SYS_openat, folder, path, flags, mode);
    finish(what);
    return descriptor;
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_at(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_at(folder, path, flags | O_LARGEFILE, mode);
}

int creat(const char *path, mode_t mode) {
    return open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

/* Take half of the bytes of a write that is torn, or after which the disk is full. */
static int takes_half(enum action what, size_t size) {
    return what == TEAR || (what == FAIL_ON && size > 1 && counted == number);
}

#define WRITE_CALL(descriptor, size, whole_call, half_call)                                        \
    char path[PATH_MAX];                                                                           \
    const char *place = armed == getpid() ? at_folder(descriptor, NULL, path) : NULL;              \
    enum action what = meet(WRITE, place);                                                         \
    if (ours(place))                                                                               \
        note_change(place);                                                                        \
    int half = takes_half(what, size);                                                             \
    if (fails(what) && !half)                                                                      \
        return errno = error_number, -1;                                                           \
    ssize_t written = half ? half_call : whole_call;                                               \
    finish(what);                                                                                  \
    return written;

ssize_t write(int descriptor, const void *bytes, size_t size) {
    WRITE_CALL(descriptor, size, REAL(write)(descriptor, bytes, size),
               REAL(write)(descriptor, bytes, size / 2))
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    WRITE_CALL(descriptor, size, REAL(pwrite)(descriptor, bytes, size, offset),
               REAL(pwrite)(descriptor, bytes, size / 2, offset))
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
    WRITE_CALL(descriptor, size, REAL(pwrite64)(descriptor, bytes, size, offset),
               REAL(pwrite64)(descriptor, bytes, size / 2, offset))
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    WRITE_CALL(descriptor, parts[0].iov_len, REAL(writev)(descriptor, parts, count),
               REAL(write)(descriptor, parts[0].iov_base, parts[0].iov_len / 2))
}

static int sync_with(int (*call)(int), int descriptor) {
    char path[PATH_MAX];
    const char *place = armed == getpid() ? at_folder(descriptor, NULL, path) : NULL;
    enum action what = meet(SYNC, place);
    if (fails(what))
        return -1;
    int result = call(descriptor);
    if (ours(place))
        note_sync(place);
    finish(what);
    return result;
}

int fsync(int descriptor) { return sync_with(REAL(fsync), descriptor); }

int fdatasync(int descriptor) { return sync_with(REAL(fdatasync), descriptor); }

int renameat2(int folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char source[PATH_MAX], target[PATH_MAX];
    const char *old = at_folder(folder, from, source), *new = at_folder(to_folder, to, target);
    enum action what = meet(RENAME, new);
    if (fails(what))
        return -1;
    int replaced = !faccessat(to_folder, to, F_OK, AT_SYMLINK_NOFOLLOW);
    int result = syscall(SYS_renameat2, folder, from, to_folder, to, flags);
    if (!result && old && ours(new))
        note_rename(old, new, replaced);
    finish(what);
    return result;
}

int rename(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int folder, const char *from, int to_folder, const char *to) {
    return renameat2(folder, from, to_folder, to, 0);
}

/* A call that would change nothing is no point: to unlink what is not there, to make what is. */
static enum action meet_if(int changes, enum call call, const char *path) {
    return changes ? meet(call, path) : NONE;
}

static int is_there(const char *path) {
    int before = errno, there = path && !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
    errno = before;
    return there;
}

int unlinkat(int folder, const char *path, int flags) {
    char whole[PATH_MAX], *place = at_folder(folder, path, whole);
    enum action what = meet_if(is_there(place), flags & AT_REMOVEDIR ? RMDIR : UNLINK, place);
    if (fails(what))
        return -1;
    int result = syscall(SYS_unlinkat, folder, path, flags);
    if (!result && ours(place)) {
        pthread_mutex_lock(&files_lock);
        forget(place);
        pthread_mutex_unlock(&files_lock);
    }
    finish(what);
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int linkat(int folder, const char *from, int to_folder, const char *to, int flags) {
    char whole[PATH_MAX], *place = at_folder(to_folder, to, whole);
    enum action what = meet(LINK, place);
    if (fails(what))
        return -1;
    int result = syscall(SYS_linkat, folder, from, to_folder, to, flags);
    if (!result && ours(place)) {
        pthread_mutex_lock(&files_lock);
        find(place)->named = 0;
        pthread_mutex_unlock(&files_lock);
    }
    finish(what);
    return result;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdirat(int folder, const char *path, mode_t mode) {
    char whole[PATH_MAX], *place = at_folder(folder, path, whole);
    enum action what = meet_if(!is_there(place), MKDIR, place);
    if (fails(what))
        return -1;
    int result = syscall(SYS_mkdirat, folder, path, mode);
    finish(what);
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int truncate(const char *path, off_t size) {
    char whole[PATH_MAX], *place = at_folder(AT_FDCWD, path, whole);
    enum action what = meet(TRUNCATE, place);
    if (fails(what))
        return -1;
    if (ours(place))
        note_change(place);
    int result = syscall(SYS_truncate, path, size);
    finish(what);
    return result;
}

int truncate64(const char *path, off64_t size) { return truncate(path, size); }

int ftruncate(int descriptor, off_t size) {
    char path[PATH_MAX];
    const char *place = armed == getpid() ? at_folder(descriptor, NULL, path) : NULL;
    enum action what = meet(TRUNCATE, place);
    if (fails(what))
        return -1;
    if (ours(place))
        note_change(place);
    int result = syscall(SYS_ftruncate, descriptor, size);
    finish(what);
    return result;
}

int ftruncate64(int descriptor, off64_t size) { return ftruncate(descriptor, size); }
