/* Stands between a process and its disk (LD_PRELOAD).
 *
 * Files whose path starts with SHIM_PREFIX are watched; the index of a write-ahead log (-shm)
 * is not part of what survives, and is only made to fail, never logged.
 *
 * SHIM_FAIL_AT=N  the Nth watched operation fails, and the SHIM_FAIL_FOR - 1 after it (-1: all)
 * SHIM_ERRNO      with this number
 * SHIM_KIND       w: writes (and growing), s: syncs, anything else: both
 * SHIM_SHORT=1    the first write that fails writes its first half instead
 * SHIM_LOG=PATH   every operation is appended there before it returns, for a replay:
 *                 kind (1 byte), length of the path (2), path, offset (8), length (8), bytes
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *prefix;
static long fail_at = -1, fail_for = 1, count;
static int fail_errno = ENOSPC, is_short, log_fd = -1;
static char kind = 'b';

__attribute__((constructor)) static void start(void)
{
	const char *value;
	prefix = getenv("SHIM_PREFIX");
	if ((value = getenv("SHIM_FAIL_AT"))) fail_at = atol(value);
	if ((value = getenv("SHIM_FAIL_FOR"))) fail_for = atol(value);
	if ((value = getenv("SHIM_ERRNO"))) fail_errno = atoi(value);
	if ((value = getenv("SHIM_KIND"))) kind = value[0];
	is_short = getenv("SHIM_SHORT") != NULL;
	if ((value = getenv("SHIM_LOG")))
		log_fd = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int watched(int fd, char *path)
{
	char link[64];
	if (!prefix) return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, 4095);
	if (length <= 0) return 0;
	path[length] = 0;
	return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* Whether this operation is one that fails. */
static int fails(char what)
{
	if (fail_at < 0 || (kind != 'b' && kind != what)) return 0;
	long n = __sync_add_and_fetch(&count, 1);
	return n >= fail_at && (fail_for < 0 || n < fail_at + fail_for);
}

static int is_first(void) { return count == fail_at; }

static void note(char what, const char *path, uint64_t offset, const void *bytes, uint64_t length)
{
	if (log_fd < 0 || strstr(path, "-shm")) return;
	uint16_t path_length = (uint16_t)strlen(path);
	size_t total = 1 + 2 + path_length + 8 + 8 + (bytes ? length : 0);
	unsigned char *record = malloc(total), *at = record;
	if (!record) abort();
	*at++ = (unsigned char)what;
	memcpy(at, &path_length, 2); at += 2;
	memcpy(at, path, path_length); at += path_length;
	memcpy(at, &offset, 8); at += 8;
	memcpy(at, &length, 8); at += 8;
	if (bytes) memcpy(at, bytes, length);
	if (syscall(SYS_write, log_fd, record, total) != (long)total) abort();
	free(record);
}

#define REAL(type, name, ...) \
	static type (*real)(__VA_ARGS__); \
	if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static off_t offset_of(int fd)
{
	if (fcntl(fd, F_GETFL) & O_APPEND) {
		struct stat status;
		return fstat(fd, &status) ? 0 : status.st_size;
	}
	return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	char path[4096];
	REAL(ssize_t, "write", int, const void *, size_t);
	if (!watched(fd, path)) return real(fd, bytes, length);
	if (fails('w')) {
		if (!is_short || !is_first() || length < 1024) { errno = fail_errno; return -1; }
		length /= 2;
	}
	off_t offset = offset_of(fd);
	ssize_t done = real(fd, bytes, length);
	if (done > 0) note('w', path, (uint64_t)offset, bytes, (uint64_t)done);
	return done;
}

static ssize_t positioned(ssize_t (*real)(int, const void *, size_t, off_t), int fd,
	const void *bytes, size_t length, off_t offset)
{
	char path[4096];
	if (!watched(fd, path)) return real(fd, bytes, length, offset);
	if (fails('w')) {
		if (!is_short || !is_first() || length < 1024) { errno = fail_errno; return -1; }
		length /= 2;
	}
	ssize_t done = real(fd, bytes, length, offset);
	if (done > 0) note('w', path, (uint64_t)offset, bytes, (uint64_t)done);
	return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
	return positioned(real, fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset)
{
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
	return positioned(real, fd, bytes, length, offset);
}

static int cut(int (*real)(int, off_t), int fd, off_t length)
{
	char path[4096];
	if (!watched(fd, path)) return real(fd, length);
	struct stat status;
	int grows = fstat(fd, &status) == 0 && length > status.st_size;
	if (grows && fails('w')) { errno = fail_errno; return -1; }
	int done = real(fd, length);
	if (done == 0) note('t', path, 0, NULL, (uint64_t)length);
	return done;
}

int ftruncate(int fd, off_t length)
{
	REAL(int, "ftruncate", int, off_t);
	return cut(real, fd, length);
}

int ftruncate64(int fd, off_t length)
{
	REAL(int, "ftruncate64", int, off_t);
	return cut(real, fd, length);
}

static int synced(int (*real)(int), int fd)
{
	char path[4096];
	if (!watched(fd, path)) return real(fd);
	if (fails('s')) { errno = fail_errno; return -1; }
	int done = real(fd);
	if (done == 0) note('s', path, 0, NULL, 0);
	return done;
}

int fsync(int fd)
{
	REAL(int, "fsync", int);
	return synced(real, fd);
}

int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);
	return synced(real, fd);
}

int unlink(const char *path)
{
	REAL(int, "unlink", const char *);
	int done = real(path);
	if (done == 0 && prefix && strncmp(path, prefix, strlen(prefix)) == 0)
		note('u', path, 0, NULL, 0);
	return done;
}

static int renamed(int done, const char *from, const char *to)
{
	if (done == 0 && prefix && strncmp(to, prefix, strlen(prefix)) == 0)
		note('r', from, 0, to, (uint64_t)strlen(to));
	return done;
}

int rename(const char *from, const char *to)
{
	REAL(int, "rename", const char *, const char *);
	return renamed(real(from, to), from, to);
}
