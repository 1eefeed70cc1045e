/* A folder that refuses locks and memory maps, as some network disks do; see network_disk.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether a descriptor is of a file in the folder; if so, a line goes into the log. */
static int refused(int fd, const char *what)
{
    const char *folder = getenv("K150K_TEST_DISK"), *log = getenv("K150K_TEST_DISK_LOG");
    char link[64], path[PATH_MAX], line[PATH_MAX + 32];
    if (fd < 0 || folder == NULL || log == NULL)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    if (strncmp(path, folder, strlen(folder)) != 0)
        return 0;
    int size = snprintf(line, sizeof line, "%s\t%s\n", what, path);
    int out = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out >= 0) {
        syscall(SYS_write, out, line, size);
        syscall(SYS_close, out);
    }
    return 1;
}

static int locks(int command)
{
    return command == F_SETLK || command == F_SETLKW || command == F_GETLK || command == F_OFD_SETLK
        || command == F_OFD_SETLKW || command == F_OFD_GETLK;
}

static int control(int fd, int command, void *argument)
{
    if (locks(command) && refused(fd, "lock")) {
        errno = ENOLCK;
        return -1;
    }
    return syscall(SYS_fcntl, fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return control(fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return control(fd, command, argument);
}

int flock(int fd, int operation)
{
    if (refused(fd, "lock")) {
        errno = ENOLCK;
        return -1;
    }
    return syscall(SYS_flock, fd, operation);
}

void *mmap(void *start, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (refused(fd, "map")) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, start, length, protection, flags, fd, offset);
}

void *mmap64(void *start, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap(start, length, protection, flags, fd, offset);
}
