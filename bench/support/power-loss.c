/*
 * Preloaded into a process whose power is to fail: for each file below POWER_LOSS_HOME it writes down, before the file
 * changes, what stood there, in POWER_LOSS_JOURNAL/<inode>.undo, and forgets it once the file is synced. After the
 * process is dead, power-loss.ts puts back any part of what was never synced, as a disk without power would have it.
 * While the file POWER_LOSS_LIES exists, syncing does not count: a disk that only says that it has written. A sync takes
 * up to POWER_LOSS_SYNC_US microseconds more than it would, so that many moments lie between a write and its sync.
 *
 * A record: kind, octets of content (u32), offset, file length before (u64), content. Content of `old` is page-aligned.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, FILES_MAX = 65536 };
enum record { RECORD_PATH = 1, RECORD_OLD = 2, RECORD_DURABLE = 3, RECORD_RENAMED = 4 };

struct head {
  uint32_t kind, bytes;
  uint64_t offset, length;
};

struct file {
  ino_t inode;
  int content; /* opened anew for reading: the caller's may be write-only, or closed soon */
  int undo;
  int syncing;
  struct file *next;
};

static char home[PATH_MAX], journal[PATH_MAX];
static const char *lies;
static unsigned sync_us, moments;
static int names = -1;
static struct file *buckets[FILES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t synced = PTHREAD_COND_INITIALIZER;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

static void fail(const char *what) {
  dprintf(2, "power loss: %s: %s\n", what, strerror(errno));
  _exit(70);
}

__attribute__((constructor)) static void start(void) {
  if (real_write) return;
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_rename = dlsym(RTLD_NEXT, "rename");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  real_write = dlsym(RTLD_NEXT, "write");
  const char *at = getenv("POWER_LOSS_HOME"), *to = getenv("POWER_LOSS_JOURNAL");
  if (!at || !to || !realpath(at, home) || !realpath(to, journal)) fail("POWER_LOSS_HOME, POWER_LOSS_JOURNAL");
  lies = getenv("POWER_LOSS_LIES");
  sync_us = atoi(getenv("POWER_LOSS_SYNC_US") ? getenv("POWER_LOSS_SYNC_US") : "0");
  moments = getpid();
  unsetenv("LD_PRELOAD");
}

static int is_lying(void) { return lies && !access(lies, F_OK); }

static void take_time(void) {
  if (sync_us) usleep(rand_r(&moments) % sync_us);
}

static void record(int to, struct head head, const void *content) {
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)content, head.bytes}};
  if (real_writev(to, parts, 2) != (ssize_t)(sizeof head + head.bytes)) fail("journal");
}

static int journal_file(const char *name) {
  char path[PATH_MAX + 64];
  snprintf(path, sizeof path, "%s/%s", journal, name);
  int fd = open(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) fail(path);
  return fd;
}

/* The path behind a descriptor when it lies below the home; locks hold nothing that lasts. */
static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  size_t prefix = strlen(home);
  return !strncmp(path, home, prefix) && path[prefix] == '/' && !strstr(path + prefix, "lock.mdb");
}

/* NULL for what is no regular file of the home. The lock is held. */
static struct file *find(int fd) {
  struct stat about;
  if (fstat(fd, &about) || !S_ISREG(about.st_mode)) return NULL;
  struct file **bucket = &buckets[about.st_ino % FILES_MAX];
  for (struct file *file = *bucket; file; file = file->next)
    if (file->inode == about.st_ino) return file;
  char path[PATH_MAX], name[64];
  if (!path_of(fd, path)) return NULL;
  struct file *file = calloc(1, sizeof *file);
  if (!file) fail("memory");
  file->inode = about.st_ino;
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  file->content = open(name, O_RDONLY | O_CLOEXEC);
  if (file->content < 0) fail(path);
  snprintf(name, sizeof name, "%llu.undo", (unsigned long long)about.st_ino);
  file->undo = journal_file(name);
  file->next = *bucket;
  *bucket = file;
  return file;
}

/* Waits while the file is being synced: what is written then could not be told from what was synced. */
static struct file *find_quiet(int fd) {
  struct file *file = find(fd);
  while (file && file->syncing) pthread_cond_wait(&synced, &lock);
  return file;
}

static void remember(struct file *file, off_t offset, off_t bytes) {
  struct stat about;
  if (fstat(file->content, &about)) fail("length");
  if (lseek(file->undo, 0, SEEK_END) == 0) {
    char path[PATH_MAX];
    if (!path_of(file->content, path)) fail("path");
    record(file->undo, (struct head){RECORD_PATH, strlen(path), 0, 0}, path);
  }
  off_t from = offset / PAGE * PAGE, to = (offset + bytes + PAGE - 1) / PAGE * PAGE;
  if (to > about.st_size) to = about.st_size;
  if (from > to) from = to;
  char *old = malloc(to - from + 1);
  if (!old) fail("memory");
  if (pread(file->content, old, to - from, from) != to - from) fail("old content");
  record(file->undo, (struct head){RECORD_OLD, to - from, from, about.st_size}, old);
  free(old);
}

/* A write through a descriptor with O_DSYNC is durable when it returns, and nothing else with it. */
static void note_durable(struct file *file, int fd, off_t offset, ssize_t bytes) {
  if (bytes <= 0 || !(fcntl(fd, F_GETFL) & O_DSYNC) || is_lying()) return;
  take_time();
  char *now = malloc(bytes);
  if (!now || pread(file->content, now, bytes, offset) != bytes) fail("new content");
  record(file->undo, (struct head){RECORD_DURABLE, bytes, offset, 0}, now);
  free(now);
}

static off_t total(const struct iovec *parts, int count) {
  off_t bytes = 0;
  for (int at = 0; at < count; at += 1) bytes += parts[at].iov_len;
  return bytes;
}

/* Where a write without an offset goes. */
static off_t position(int fd) {
  if (!(fcntl(fd, F_GETFL) & O_APPEND)) return lseek(fd, 0, SEEK_CUR);
  struct stat about;
  return fstat(fd, &about) ? 0 : about.st_size;
}

#define CHANGING(fd, offset_of, bytes, really)   \
  start();                                       \
  pthread_mutex_lock(&lock);                     \
  struct file *file = find_quiet(fd);            \
  if (!file) {                                   \
    pthread_mutex_unlock(&lock);                 \
    return really;                               \
  }                                              \
  off_t at = offset_of;                          \
  remember(file, at, bytes);                     \
  ssize_t done = really;                         \
  int error = errno;                             \
  note_durable(file, fd, at, done);              \
  pthread_mutex_unlock(&lock);                   \
  errno = error;                                 \
  return done

ssize_t write(int fd, const void *from, size_t bytes) {
  CHANGING(fd, position(fd), bytes, real_write(fd, from, bytes));
}
ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t offset) {
  CHANGING(fd, offset, bytes, real_pwrite(fd, from, bytes, offset));
}
ssize_t pwrite(int fd, const void *from, size_t bytes, off_t offset) {
  return pwrite64(fd, from, bytes, offset);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  CHANGING(fd, position(fd), total(parts, count), real_writev(fd, parts, count));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  CHANGING(fd, offset, total(parts, count), real_pwritev(fd, parts, count, offset));
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return pwritev64(fd, parts, count, offset);
}

int ftruncate64(int fd, off64_t length) {
  start();
  pthread_mutex_lock(&lock);
  struct file *file = find_quiet(fd);
  struct stat about;
  if (file && !fstat(fd, &about)) remember(file, length, about.st_size > length ? about.st_size - length : 0);
  int done = real_ftruncate(fd, length), error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* Renames that their directory does not know durably yet are in names.undo, in order. */
static void forget_names(int fd) {
  char path[PATH_MAX];
  struct stat about;
  if (names < 0 || fstat(fd, &about) || !S_ISDIR(about.st_mode) || !path_of(fd, path)) return;
  record(names, (struct head){RECORD_DURABLE, strlen(path), 0, 0}, path);
}

static int sync_with(int fd, int (*really)(int)) {
  if (is_lying()) return 0;
  pthread_mutex_lock(&lock);
  struct file *file = find_quiet(fd);
  if (file) file->syncing = 1;
  pthread_mutex_unlock(&lock);
  if (file) take_time();
  int done = really(fd), error = errno;
  pthread_mutex_lock(&lock);
  if (file) {
    file->syncing = 0;
    if (!done && real_ftruncate(file->undo, 0)) fail("journal");
    pthread_cond_broadcast(&synced);
  } else if (!done) {
    forget_names(fd);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}
int fsync(int fd) {
  start();
  return sync_with(fd, real_fsync);
}
int fdatasync(int fd) {
  start();
  return sync_with(fd, real_fdatasync);
}

/* What the new name stood for is kept under a name of its own, so that the rename can be undone. */
static void remember_rename(const char *from, const char *to) {
  char content[2 * PATH_MAX + 2], saved[PATH_MAX + 64];
  static unsigned count;
  if (names < 0) names = journal_file("names.undo");
  snprintf(saved, sizeof saved, "%s/%d-%u.saved", journal, getpid(), count++);
  int replaces = !link(to, saved);
  int bytes = snprintf(content, sizeof content, "%s%c%s%c%s", from, 0, to, 0, replaces ? saved : "");
  record(names, (struct head){RECORD_RENAMED, bytes, 0, 0}, content);
}

int rename(const char *from, const char *to) {
  start();
  char whole[PATH_MAX];
  size_t prefix = strlen(home);
  if (!realpath(from, whole) || strncmp(whole, home, prefix) || whole[prefix] != '/') return real_rename(from, to);
  pthread_mutex_lock(&lock);
  remember_rename(whole, to);
  int done = real_rename(from, to), error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

/* A file that is gone needs no journal, and its inode may be another file's soon. */
int unlink(const char *path) {
  start();
  struct stat about;
  int known = !stat(path, &about) && S_ISREG(about.st_mode) && about.st_nlink == 1;
  pthread_mutex_lock(&lock);
  int done = real_unlink(path), error = errno;
  if (!done && known) {
    char undo[PATH_MAX + 64];
    snprintf(undo, sizeof undo, "%s/%llu.undo", journal, (unsigned long long)about.st_ino);
    real_unlink(undo);
    for (struct file **file = &buckets[about.st_ino % FILES_MAX]; *file; file = &(*file)->next) {
      if ((*file)->inode != about.st_ino) continue;
      struct file *gone = *file;
      close(gone->content);
      close(gone->undo);
      *file = gone->next;
      free(gone);
      break;
    }
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}
