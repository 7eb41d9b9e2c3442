/* Faults of the machine for tests, put under an unmodified koogate by LD_PRELOAD.
 *
 * KOOGATE_SHIM names a control file, read again whenever it is replaced (by a rename, so that nobody sees half of it):
 *
 *     clock MILLISECONDS              what CLOCK_REALTIME is ahead of the machine's
 *     CALL ENDING NTH ACTION          CALL on a path that ends in ENDING (* for any): the NTH such call since the file was
 *                                     replaced, or with NTH+ that one and all after it
 *
 * CALL:   open create read write sync truncate rename unlink map accept socket thread
 * ACTION: a name of an error (EIO, ENOSPC, EDQUOT, EROFS, EMFILE, ENFILE, ENOMEM, EAGAIN, ECONNABORTED, EACCES),
 *         short (half of a write or read), slow:MILLISECONDS
 *
 * Each action that was taken adds a line to the control file's name with ".hits" behind it.
 *
 * KOOGATE_SHIM_PLATTER names a folder that holds what a disk would after a power cut that spares nothing unsynced: pages
 * of the database, its log, journal and lock file reach it when a sync succeeds. As with Linux, a sync that fails drops
 * the pages: the next one succeeds without them. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

enum { RULES = 16, PAGE = 4096, FILES = 8, PAGES = 65536, NOTHING = 0, SHORT = -1, SLOW = -2 };

struct rule {
    char call[16], ending[64];
    long nth, seen;
    int onwards, action; /* an errno, or SHORT, or SLOW */
    long milliseconds;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES];
static int rule_count;
static _Atomic int64_t clock_ahead_ms;
static struct statx_timestamp read_at;
static uint64_t read_inode;

static const struct { const char *name; int number; } ERRORS[] = {
    {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"EMFILE", EMFILE}, {"ENFILE", ENFILE},
    {"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN}, {"ECONNABORTED", ECONNABORTED}, {"EACCES", EACCES}, {"short", SHORT},
};

/* Reads the control file if it is another one than last time. With the lock. */
static void look(void) {
    const char *path = getenv("KOOGATE_SHIM");
    struct statx now;
    if (!path || syscall(SYS_statx, AT_FDCWD, path, 0, STATX_INO | STATX_MTIME, &now)) return;
    if (now.stx_ino == read_inode && now.stx_mtime.tv_nsec == read_at.tv_nsec && now.stx_mtime.tv_sec == read_at.tv_sec)
        return;
    read_inode = now.stx_ino, read_at = now.stx_mtime;
    char text[4096];
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return;
    long length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    text[length < 0 ? 0 : length] = 0;
    rule_count = 0;
    clock_ahead_ms = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct rule rule = {0};
        char nth[32], action[32];
        long long ahead;
        if (sscanf(line, "clock %lld", &ahead) == 1) {
            clock_ahead_ms = ahead;
        } else if (rule_count < RULES &&
                   sscanf(line, "%15s %63s %31s %31s", rule.call, rule.ending, nth, action) == 4) {
            char *end;
            rule.nth = strtol(nth, &end, 10);
            rule.onwards = *end == '+';
            if (!strncmp(action, "slow:", 5)) rule.action = SLOW, rule.milliseconds = atol(action + 5);
            for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
                if (!strcmp(action, ERRORS[i].name)) rule.action = ERRORS[i].number;
            rules[rule_count++] = rule;
        }
    }
}

static int ends_in(const char *path, const char *ending) {
    size_t whole = strlen(path), part = strlen(ending);
    return !strcmp(ending, "*") || (whole >= part && !strcmp(path + whole - part, ending));
}

static void note(const char *call, const char *path, const struct rule *rule) {
    char name[PATH_MAX], line[PATH_MAX + 64];
    snprintf(name, sizeof name, "%s.hits", getenv("KOOGATE_SHIM"));
    int length = snprintf(line, sizeof line, "%s %ld %s\n", call, rule->seen, path);
    long file = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return;
    syscall(SYS_write, file, line, length);
    syscall(SYS_close, file);
}

/* What is to become of a call: NOTHING, SHORT or an errno. Waits itself where it is to be slow. */
static int fate(const char *call, const char *path) {
    int action = NOTHING;
    long milliseconds = 0, before = errno;
    pthread_mutex_lock(&lock);
    look();
    for (int i = 0; i < rule_count; i++) {
        struct rule *rule = &rules[i];
        if (strcmp(rule->call, call) || !ends_in(path, rule->ending)) continue;
        rule->seen++;
        if (rule->seen == rule->nth || (rule->onwards && rule->seen > rule->nth)) {
            action = rule->action;
            milliseconds = rule->milliseconds;
            note(call, path, rule);
        }
    }
    pthread_mutex_unlock(&lock);
    if (action == SLOW) {
        struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
        nanosleep(&pause, NULL);
        action = NOTHING;
    }
    errno = before;
    return action;
}

/* A path as the rules name it: with a slash before the file's name. */
static const char *named(const char *path, char *room) {
    if (strchr(path, '/')) return path;
    snprintf(room, PATH_MAX, "./%s", path);
    return room;
}

static int fate_at(const char *call, const char *path) {
    char room[PATH_MAX];
    return fate(call, named(path, room));
}

/* The path of a descriptor: files only have one that begins with a slash. */
static const char *path_of(int descriptor, char *path) {
    char link[64];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    errno = before;
    path[length < 0 ? 0 : length] = 0;
    char *gone = strstr(path, " (deleted)");
    if (gone) *gone = 0;
    return path;
}

static int fate_of(const char *call, int descriptor) {
    char path[PATH_MAX];
    path_of(descriptor, path);
    return *path == '/' ? fate(call, path) : NOTHING;
}

#define FAIL_IF_SO(action) do { int number_ = (action); if (number_ > 0) { errno = number_; return -1; } } while (0)

/* -- the platter -- */

static struct platter {
    char path[PATH_MAX];
    unsigned char dirty[PAGES / 8];
} *platters[FILES];

/* The state of a file that is kept on the platter, by its path. With the lock. */
static struct platter *platter_of(const char *path) {
    if (!getenv("KOOGATE_SHIM_PLATTER")) return NULL;
    if (!(ends_in(path, "/koogate.db") || ends_in(path, "/koogate.db-wal") || ends_in(path, "/koogate.db-journal") ||
          ends_in(path, "/koogate.db.lock")))
        return NULL;
    for (int i = 0; i < FILES; i++) {
        if (!platters[i]) {
            platters[i] = calloc(1, sizeof **platters);
            strcpy(platters[i]->path, path);
        }
        if (!strcmp(platters[i]->path, path)) return platters[i];
    }
    abort();
}

static void on_platter(const char *path, char *name) {
    snprintf(name, PATH_MAX, "%s%s", getenv("KOOGATE_SHIM_PLATTER"), strrchr(path, '/'));
}

static void written(int descriptor, off_t offset, ssize_t length) {
    char path[PATH_MAX];
    if (length <= 0 || !getenv("KOOGATE_SHIM_PLATTER")) return;
    path_of(descriptor, path);
    pthread_mutex_lock(&lock);
    struct platter *platter = platter_of(path);
    if (platter)
        for (off_t page = offset / PAGE; page <= (offset + length - 1) / PAGE && page < PAGES; page++)
            platter->dirty[page / 8] |= 1 << page % 8;
    pthread_mutex_unlock(&lock);
}

/* A sync ended: its dirty pages are on the platter, or, where it failed, forgotten. */
static void synced(int descriptor, int failed) {
    char path[PATH_MAX], name[PATH_MAX], page[PAGE];
    if (!getenv("KOOGATE_SHIM_PLATTER")) return;
    int before = errno;
    path_of(descriptor, path);
    pthread_mutex_lock(&lock);
    struct platter *platter = platter_of(path);
    if (platter && !failed) {
        struct stat state;
        on_platter(path, name);
        long target = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        /* Another descriptor of a database would drop SQLite's locks when it is closed: this one is used. */
        for (off_t i = 0; i < PAGES; i++) {
            if (!(platter->dirty[i / 8] & 1 << i % 8)) continue;
            long length = syscall(SYS_pread64, descriptor, page, PAGE, i * PAGE);
            if (length > 0) syscall(SYS_pwrite64, target, page, length, i * PAGE);
        }
        fstat(descriptor, &state);
        syscall(SYS_ftruncate, target, state.st_size);
        syscall(SYS_close, target);
    }
    if (platter) memset(platter->dirty, 0, sizeof platter->dirty);
    pthread_mutex_unlock(&lock);
    errno = before;
}

/* -- files -- */

static ssize_t write_with(int descriptor, const void *bytes, size_t count, off_t offset) {
    int fault = fate_of("write", descriptor);
    FAIL_IF_SO(fault);
    if (fault == SHORT && count > 1) count /= 2;
    off_t at = offset >= 0 ? offset : lseek(descriptor, 0, SEEK_CUR);
    ssize_t length = offset >= 0 ? syscall(SYS_pwrite64, descriptor, bytes, count, offset)
                                 : syscall(SYS_write, descriptor, bytes, count);
    if (at >= 0) written(descriptor, at, length);
    return length;
}

ssize_t write(int descriptor, const void *bytes, size_t count) { return write_with(descriptor, bytes, count, -1); }
ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return write_with(descriptor, bytes, count, offset);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    return write_with(descriptor, bytes, count, offset);
}

static ssize_t read_with(int descriptor, void *bytes, size_t count, off_t offset) {
    int fault = fate_of("read", descriptor);
    FAIL_IF_SO(fault);
    if (fault == SHORT && count > 1) count /= 2;
    return offset >= 0 ? syscall(SYS_pread64, descriptor, bytes, count, offset)
                       : syscall(SYS_read, descriptor, bytes, count);
}

ssize_t read(int descriptor, void *bytes, size_t count) { return read_with(descriptor, bytes, count, -1); }
ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
    return read_with(descriptor, bytes, count, offset);
}
ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset) {
    return read_with(descriptor, bytes, count, offset);
}

static int sync_with(int descriptor, long call) {
    int fault = fate_of("sync", descriptor);
    synced(descriptor, fault > 0);
    FAIL_IF_SO(fault);
    return syscall(call, descriptor);
}

int fsync(int descriptor) { return sync_with(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return sync_with(descriptor, SYS_fdatasync); }

int ftruncate(int descriptor, off_t length) {
    FAIL_IF_SO(fate_of("truncate", descriptor));
    return syscall(SYS_ftruncate, descriptor, length);
}
int ftruncate64(int descriptor, off64_t length) { return ftruncate(descriptor, length); }

static int open_with(int folder, const char *path, int flags, mode_t mode) {
    FAIL_IF_SO(fate_at(flags & O_CREAT ? "create" : "open", path));
    return syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return open_with(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_with(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_with(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_with(folder, path, flags, mode); }

int rename(const char *from, const char *to) {
    FAIL_IF_SO(fate_at("rename", to));
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    FAIL_IF_SO(fate_at("unlink", path));
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!result) {
        char name[PATH_MAX];
        pthread_mutex_lock(&lock);
        struct platter *platter = platter_of(path);
        if (platter) {
            on_platter(path, name);
            syscall(SYS_unlinkat, AT_FDCWD, name, 0);
            memset(platter->dirty, 0, sizeof platter->dirty);
        }
        pthread_mutex_unlock(&lock);
    }
    return result;
}

void *mmap(void *address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    if (descriptor >= 0 && (flags & MAP_SHARED)) {
        int fault = fate_of("map", descriptor);
        if (fault > 0) return errno = fault, MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, descriptor, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t offset) {
    return mmap(address, length, protection, flags, descriptor, offset);
}

/* -- sockets and threads -- */

int accept4(int listener, struct sockaddr *restrict peer, socklen_t *restrict length, int flags) {
    FAIL_IF_SO(fate("accept", "socket"));
    return syscall(SYS_accept4, listener, peer, length, flags);
}

int socket(int domain, int type, int protocol) {
    FAIL_IF_SO(fate("socket", "socket"));
    return syscall(SYS_socket, domain, type, protocol);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*work)(void *),
                   void *restrict argument) {
    REAL(pthread_create);
    int fault = fate("thread", "thread");
    return fault > 0 ? fault : real(thread, attributes, work, argument);
}

/* -- the clock -- */

static void set_ahead(struct timespec *time) {
    int64_t ahead;
    pthread_mutex_lock(&lock);
    look();
    ahead = clock_ahead_ms;
    pthread_mutex_unlock(&lock);
    int64_t nanoseconds = time->tv_nsec + ahead % 1000 * 1000000;
    time->tv_sec += ahead / 1000;
    if (nanoseconds < 0) time->tv_sec--, nanoseconds += 1000000000;
    if (nanoseconds >= 1000000000) time->tv_sec++, nanoseconds -= 1000000000;
    time->tv_nsec = nanoseconds;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(clock_gettime);
    int result = real(clock, time);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) set_ahead(time);
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec, time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
