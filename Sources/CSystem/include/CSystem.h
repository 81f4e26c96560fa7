#pragma once
// System calls and constants Swift's Glibc module does not offer (it sets no _GNU_SOURCE),
// as static inline functions, so that a call costs nothing more than in C.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Declared by Glibc for _GNU_SOURCE only.
long syscall(long number, ...);
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
int pthread_setname_np(pthread_t thread, const char *name);
int sched_getaffinity(int pid, size_t size, void *mask);

/// Accepts one connection, non-blocking and closed on exec. -1 with errno otherwise.
static inline int sys_accept(int listener, void *address, socklen_t *length) {
    return accept4(listener, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/// A non-blocking stream socket, closed on exec. -1 with errno otherwise.
static inline int sys_stream_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static inline int sys_set_option(int descriptor, int level, int name, int value) {
    return setsockopt(descriptor, level, name, &value, sizeof value);
}

static inline int sys_reuse_address(int descriptor) {
    return sys_set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
}

static inline int sys_reuse_port(int descriptor) {
    return sys_set_option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
}

/// Accepted sockets inherit it from their listener.
static inline int sys_no_delay(int descriptor) {
    return sys_set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
}

static inline int sys_ipv6_only(int descriptor) {
    return sys_set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

/// The pending error of a socket, which this call clears.
static inline int sys_take_error(int descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
    return error;
}

/// Makes a listening TCP socket ignore new connections (SYN without ACK), while handshakes under way go on.
int sys_ignore_new_connections(int descriptor);

/// Makes close() send RST and forget unsent bytes.
static inline int sys_reset_on_close(int descriptor) {
    struct linger linger = {1, 0};
    return setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/// By syscall(), because in a process with threads the C library's send and recv are cancellation
/// points that change and restore the thread's state at each call.
static inline ssize_t sys_send(int descriptor, const void *bytes, size_t count) {
    return syscall(SYS_sendto, descriptor, bytes, count, MSG_NOSIGNAL, NULL, 0);
}

static inline ssize_t sys_receive(int descriptor, void *bytes, size_t count) {
    return syscall(SYS_recvfrom, descriptor, bytes, count, 0, NULL, NULL);
}

static inline ssize_t sys_send_two(
    int descriptor, const void *first, size_t first_count, const void *second, size_t second_count) {
    struct iovec parts[2] = {{(void *)first, first_count}, {(void *)second, second_count}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

/// 1: bytes wait; 0: the peer has ended its direction; negative: -errno, EAGAIN for an empty queue.
static inline int sys_peek(int descriptor) {
    char byte;
    ssize_t count = recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count > 0) return 1;
    if (count == 0) return 0;
    return -errno;
}

static inline int sys_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// Pages of zeros, or NULL.
static inline void *sys_map(size_t count) {
    void *bytes = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return bytes == MAP_FAILED ? NULL : bytes;
}

static inline void sys_unmap(void *bytes, size_t count) { munmap(bytes, count); }

static inline uint64_t sys_nanoseconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
static inline uint64_t sys_monotonic_nanoseconds(void) { return sys_nanoseconds(CLOCK_MONOTONIC); }
static inline uint64_t sys_realtime_nanoseconds(void) { return sys_nanoseconds(CLOCK_REALTIME); }

/// Asks the kernel for turns of so many nanoseconds on the processor, for this thread, whose niceness stays. Linux 6.12 and later
/// let a thread that wakes up go before one with longer turns; older kernels take no notice, and nothing depends on it.
static inline void sys_ask_for_turns(uint64_t nanoseconds) {
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t turn, deadline, period;
    } attributes = {0};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    if (attributes.policy != 0) return;  // SCHED_OTHER alone has turns to ask for
    attributes.turn = nanoseconds;
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/// How many CPUs this process may run on.
static inline int sys_allowed_cpus(void) {
    uint64_t mask[16] = {0};
    if (sched_getaffinity(0, sizeof mask, mask) != 0) return 1;
    int count = 0;
    for (int i = 0; i < 16; i++) count += __builtin_popcountll(mask[i]);
    return count > 0 ? count : 1;
}

/// Raises the soft limit of open descriptors to the hard one; answers the limit now in force.
static inline uint64_t sys_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

/// No core file, which would hold what passes through us. 1 byte and not 0: a core that goes to a program through a pipe
/// ignores the limit unless it is 1 (core(5)), and a file of 1 byte is not begun.
static inline void sys_refuse_core_dumps(void) {
    struct rlimit limit = {1, 1};
    if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max > 1) limit.rlim_max = 1;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CORE, &limit);
}

static inline void sys_return_free_memory(void) { malloc_trim(0); }

/// Neither traced nor read by other processes of the same user, and no core file (prctl(2)).
static inline void sys_hide_memory(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/// Tells of changes in directories; non-blocking, closed on exec. -1 with errno otherwise.
static inline int sys_inotify(void) { return inotify_init1(IN_NONBLOCK | IN_CLOEXEC); }

/// Names that come, go or have been written, and the end of the directory itself. -1 with errno otherwise.
static inline int sys_inotify_watch(int descriptor, const char *directory) {
    return inotify_add_watch(
        descriptor, directory,
        IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF |
            IN_MOVE_SELF | IN_ONLYDIR);
}

/// Takes one event off `bytes`: its directory, and the name in it, empty if it is about the directory itself.
/// Answers the bytes it took, 0 if there is no whole one.
static inline size_t sys_inotify_event(const void *bytes, size_t count, int *watch, const char **name) {
    const struct inotify_event *event = (const struct inotify_event *)bytes;
    if (count < sizeof *event || count - sizeof *event < event->len) return 0;
    *watch = event->wd;
    *name = event->len > 0 ? event->name : "";
    return sizeof *event + event->len;
}

/// The next option of the command line: its `val`; `:` for one without its value, `?` for one that is not in
/// the table or takes no value, then `*wrong` is the `val` or letter it has, 0 if none; -1 after the last one.
/// `*text` is its value, `*next` the index of the argument after it. Prints nothing, and is for one thread.
static inline int sys_next_option(
    int count, char *const *arguments, const char *letters, const struct option *names, char **text, int *next,
    int *wrong) {
    opterr = 0;
    int found = getopt_long(count, arguments, letters, names, NULL);
    *text = optarg;
    *next = optind;
    *wrong = optopt;
    return found;
}
