// The least a relay can do: one recv and one send on each side of each message, upstream connections from a pool, no system call besides.
// It reads no more of HTTP than where a message ends, believes its peers, and takes it that a head comes in one piece: a bound to measure against, no proxy.
//   floor LISTEN_PORT UPSTREAM_PORT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PENDING = 1 << 20 };

struct connection {
    int fd, is_upstream, is_dead;
    int awaits_head;              // the next byte is a message's first
    int ends_after, ends_now;     // the caller asked for it; its answer is all in `pending`
    long left;                    // bytes of the message
    struct connection *peer, *next;
    char *pending;                // what the socket did not take
    size_t pending_length, pending_sent;
};

static int poller, one = 1;
static char bytes[262144];
static struct connection *pool, *dead;
static struct sockaddr_in upstream;

static void watch(struct connection *connection, uint32_t events, int operation) {
    struct epoll_event event = {events, {.ptr = connection}};
    epoll_ctl(poller, operation, connection->fd, &event);
}

static struct connection *add(int fd, int is_upstream) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) exit(1);
    connection->fd = fd, connection->is_upstream = is_upstream, connection->awaits_head = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(connection, EPOLLIN, EPOLL_CTL_ADD);
    return connection;
}

static void end(struct connection *connection) {
    if (!connection || connection->is_dead) return;
    struct connection *peer = connection->peer, **link = &pool;
    if (connection->is_upstream && !peer) {
        while (*link && *link != connection) link = &(*link)->next;
        if (*link) *link = connection->next;
    }
    close(connection->fd);
    free(connection->pending);
    connection->pending = NULL, connection->peer = NULL, connection->is_dead = 1;
    connection->next = dead, dead = connection;  // events of this turn may still name it
    if (peer) peer->peer = NULL, end(peer);
}

static struct connection *connect_upstream(void) {
    if (pool) {
        struct connection *pooled = pool;
        pool = pooled->next, pooled->next = NULL;
        return pooled;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&upstream, sizeof upstream)) return NULL;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return add(fd, 1);
}

static int put(struct connection *connection, size_t length) {
    size_t sent = 0;
    if (!connection->pending) {
        ssize_t count = send(connection->fd, bytes, length, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN) return -1;
        sent = count < 0 ? 0 : (size_t)count;
        if (sent == length) return 0;
        watch(connection, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    char *grown = realloc(connection->pending, connection->pending_length + length - sent);
    if (!grown) exit(1);
    memcpy(grown + connection->pending_length, bytes + sent, length - sent);
    connection->pending = grown, connection->pending_length += length - sent;
    return 0;
}

// -1 if the connection ends.
static int flush(struct connection *connection) {
    ssize_t sent = send(connection->fd, connection->pending + connection->pending_sent, connection->pending_length - connection->pending_sent, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? 0 : -1;
    connection->pending_sent += (size_t)sent;
    if (connection->pending_sent < connection->pending_length) return 0;
    free(connection->pending);
    connection->pending = NULL, connection->pending_length = connection->pending_sent = 0;
    watch(connection, EPOLLIN, EPOLL_CTL_MOD);
    return connection->ends_now ? -1 : 0;
}

// The Content-Length of a head, and whether its sender wants the connection closed.
static long read_head(char *head, char *head_end, char **close_field) {
    long length = 0;
    *close_field = NULL;
    for (char *line = head; (line = memchr(line, '\n', (size_t)(head_end - line))); ) {
        line++;
        if (!strncasecmp(line, "content-length:", 15)) length = strtol(line + 15, NULL, 10);
        else if (!strncasecmp(line, "connection: close", 17)) *close_field = line;
    }
    return length;
}

// A caller that wanted to be closed is told that it will be.
static size_t add_close_field(size_t length) {
    static const char field[] = "\r\nConnection: close";
    const size_t size = sizeof field - 1;
    char *line_end = memchr(bytes, '\r', length);
    if (!line_end || length + size >= sizeof bytes) return length;
    memmove(line_end + size, line_end, length - (size_t)(line_end - bytes));
    memcpy(line_end, field, size);
    return length + size;
}

// -1 if the connection ends.
static int begin_message(struct connection *connection, size_t length) {
    char *close_field, *body = memmem(bytes, length, "\r\n\r\n", 4);
    if (!body) return -1;
    body += 4;
    connection->left = read_head(bytes, body, &close_field) + (body - bytes);
    connection->awaits_head = 0;
    if (connection->is_upstream) return 0;
    connection->ends_after = close_field != NULL;
    if (close_field) memcpy(close_field, "connection: alive", 17);  // between us and the upstream it stays
    struct connection *to = connect_upstream();
    if (!to) return -1;
    to->peer = connection, connection->peer = to, to->awaits_head = 1;
    return 0;
}

static void end_exchange(struct connection *from) {
    struct connection *caller = from->peer;
    caller->peer = NULL, caller->awaits_head = 1;
    from->peer = NULL, from->next = pool, pool = from;
    if (!caller->ends_after) return;
    if (caller->pending) caller->ends_now = 1;
    else end(caller);
}

// -1 if the connection ends.
static int relay(struct connection *connection) {
    if (connection->peer && connection->peer->pending_length - connection->peer->pending_sent > PENDING) return 0;
    ssize_t length = recv(connection->fd, bytes, sizeof bytes - 1, 0);
    if (length < 0 && errno == EAGAIN) return 0;
    if (length <= 0) return -1;
    bytes[length] = 0;
    int is_first = connection->awaits_head;
    if (is_first && begin_message(connection, (size_t)length) < 0) return -1;
    if (!connection->peer) return -1;
    size_t out = is_first && connection->peer->ends_after ? add_close_field((size_t)length) : (size_t)length;
    if (put(connection->peer, out) < 0) return -1;
    connection->left -= length;
    if (connection->left <= 0 && connection->is_upstream) end_exchange(connection);
    return 0;
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) add(fd, 0);
}

int main(int count, char **arguments) {
    if (count < 3) return fputs("floor LISTEN_PORT UPSTREAM_PORT\n", stderr), 2;
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    upstream = address, upstream.sin_port = htons((uint16_t)atoi(arguments[2]));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) return perror("floor"), 1;
    poller = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        if (ready < 0 && errno != EINTR) return 1;
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection) {
                accept_all(listener);
                continue;
            }
            if (connection->is_dead) continue;
            if (events[i].events & EPOLLOUT && connection->pending && flush(connection) < 0) end(connection);
            if (!connection->is_dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && relay(connection) < 0) end(connection);
        }
        while (dead) {
            struct connection *next = dead->next;
            free(dead);
            dead = next;
        }
    }
}
