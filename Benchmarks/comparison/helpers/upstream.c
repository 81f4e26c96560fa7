// A cheap HTTP/1.1 server for benchmarks: one thread, level-triggered epoll, replies made once.
//   upstream PORT replies [COUNT]   200 for /0k (20 bytes), /1k, /10k, /100k and /1m, and for what is below them, whatever the method; else 404.
//                                   COUNT: listens on that many addresses, 127.0.0.1 first, then 127.0.1.1, 127.0.1.2 ...
//   upstream PORT sink              202 for everything, and counts the spans of posts
// GET /__stats tells what has been seen, as JSON, and is not counted itself.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

#include "spans.h"

enum { BUFFER = 65536, ADDRESSES = 1000 };
enum state { HEAD, BODY, CHUNK_SIZE, CHUNK_BYTES, CHUNK_END, TRAILERS };
enum answer { NOT_FOUND = -1, ACCEPTED = -2, STATS = -3 };  // or an index into replies

struct connection {
    int fd;
    enum state state;
    int close_after, waits_to_write, counted, answer;
    unsigned long left;  // of the body or the chunk
    const char *out;
    size_t out_length, out_sent;
    char *owned;  // an answer of its own
    struct span_counter spans;
    size_t filled, taken;
    char buffer[BUFFER];
};

static struct {
    const char *path;
    size_t size;
    char *bytes;
    size_t length;
} replies[] = {{"/0k", 20, 0, 0}, {"/1k", 1024, 0, 0}, {"/10k", 10240, 0, 0}, {"/100k", 102400, 0, 0}, {"/1m", 1048576, 0, 0}};
enum { REPLIES = sizeof replies / sizeof *replies };

static const char accepted[] = "HTTP/1.1 202 Accepted\r\nServer: up\r\nContent-Length: 0\r\n\r\n";
static const char not_found[] = "HTTP/1.1 404 Not Found\r\nServer: up\r\nContent-Length: 0\r\n\r\n";
static struct { unsigned long requests, body_bytes, connections, open, b3, traceparent, spans, bad; } seen;
static int poller, is_sink;

static void make_replies(void) {
    for (int i = 0; i < REPLIES; i++) {
        char *bytes = replies[i].bytes = malloc(replies[i].size + 256);
        if (!bytes) exit(1);
        size_t head = (size_t)sprintf(bytes,
            "HTTP/1.1 200 OK\r\nServer: up\r\nContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n", replies[i].size);
        for (size_t k = 0; k < replies[i].size; k++) bytes[head + k] = "abcdefghijklmnopqrstuvwxyz012345"[k % 32];
        replies[i].length = head + replies[i].size;
    }
}

static void watch(struct connection *connection, uint32_t events, int operation) {
    struct epoll_event event = {events, {.ptr = connection}};
    epoll_ctl(poller, operation, connection->fd, &event);
}

static void drop(struct connection *connection) {
    close(connection->fd);
    free(connection->owned);
    free(connection);
    seen.open--;
}

// 1: all is sent, 0: the socket is full, -1: the connection ends.
static int flush(struct connection *connection) {
    while (connection->out_sent < connection->out_length) {
        ssize_t sent = send(connection->fd, connection->out + connection->out_sent, connection->out_length - connection->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) return -1;
        if (sent < 0) {
            if (!connection->waits_to_write) watch(connection, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            connection->waits_to_write = 1;
            return 0;
        }
        connection->out_sent += (size_t)sent;
    }
    connection->out_length = connection->out_sent = 0;
    free(connection->owned);
    connection->owned = NULL;
    if (connection->waits_to_write) watch(connection, EPOLLIN, EPOLL_CTL_MOD);
    connection->waits_to_write = 0;
    return connection->close_after ? -1 : 1;
}

static int answer_stats(struct connection *connection) {
    char body[512];
    int size = snprintf(body, sizeof body,
        "{\"requests\":%lu,\"body_bytes\":%lu,\"connections\":%lu,\"open\":%lu,\"b3\":%lu,\"traceparent\":%lu,\"spans\":%lu,\"bad\":%lu}\n",
        seen.requests, seen.body_bytes, seen.connections, seen.open, seen.b3, seen.traceparent, seen.spans, seen.bad);
    if (!(connection->owned = malloc(1024))) return -1;
    connection->out = connection->owned;
    connection->out_length = (size_t)snprintf(connection->owned, 1024, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body);
    return 0;
}

static int respond(struct connection *connection) {
    connection->state = HEAD;
    seen.requests += (unsigned long)connection->counted;
    switch (connection->answer) {
    case STATS:
        if (answer_stats(connection) < 0) return -1;
        break;
    case ACCEPTED: connection->out = accepted, connection->out_length = sizeof accepted - 1; break;
    case NOT_FOUND: connection->out = not_found, connection->out_length = sizeof not_found - 1, seen.bad++; break;
    default: connection->out = replies[connection->answer].bytes, connection->out_length = replies[connection->answer].length;
    }
    return flush(connection);
}

static void count_body(struct connection *connection, const char *bytes, size_t length) {
    if (!connection->counted) return;
    seen.body_bytes += length;
    if (is_sink) seen.spans += spans_feed(&connection->spans, bytes, length);
}

static int is_field(const char *line, const char *end, const char *name) {
    size_t length = strlen(name);
    return (size_t)(end - line) > length && line[length] == ':' && !strncasecmp(line, name, length);
}

static int contains(const char *from, const char *end, const char *word) {
    return memmem(from, (size_t)(end - from), word, strlen(word)) != NULL;
}

static int find_answer(const char *path, size_t length) {
    if (length == 8 && !memcmp(path, "/__stats", 8)) return STATS;
    if (is_sink) return ACCEPTED;
    const char *below = length > 1 ? memchr(path + 1, '/', length - 1) : NULL;
    if (below) length = (size_t)(below - path);
    for (int i = 0; i < REPLIES; i++)
        if (strlen(replies[i].path) == length && !memcmp(path, replies[i].path, length)) return i;
    return NOT_FOUND;
}

// Reads a whole head, which ends with an empty line at `end`; -1 if it is none.
static int take_head(struct connection *connection, const char *head, const char *end) {
    const char *path = memchr(head, ' ', (size_t)(end - head));
    if (!path++) return -1;
    const char *path_end = memchr(path, ' ', (size_t)(end - path));
    if (!path_end) return -1;
    const char *query = memchr(path, '?', (size_t)(path_end - path));
    connection->answer = find_answer(path, (size_t)((query ? query : path_end) - path));
    connection->counted = connection->answer != STATS;
    connection->left = 0;
    int is_old = !strncmp(path_end + 1, "HTTP/1.0", 8), chunked = 0, expects = 0, b3 = 0, traceparent = 0, protobuf = 0, thrift = 0;
    connection->close_after = is_old;
    const char *line = memchr(head, '\n', (size_t)(end + 2 - head));
    for (line++; line < end + 2;) {
        const char *line_end = memchr(line, '\r', (size_t)(end + 3 - line));
        if (!line_end) break;
        switch (*line | 0x20) {
        case 'b': b3 |= is_field(line, line_end, "b3"); break;
        case 'c':
            if (is_field(line, line_end, "content-length")) connection->left = strtoul(line + 15, NULL, 10);
            else if (is_field(line, line_end, "content-type"))
                protobuf = contains(line, line_end, "protobuf"), thrift = contains(line, line_end, "thrift");
            else if (is_field(line, line_end, "connection")) {
                if (contains(line, line_end, "lose")) connection->close_after = 1;
                else if (is_old && contains(line, line_end, "live")) connection->close_after = 0;
            }
            break;
        case 'e': expects |= is_field(line, line_end, "expect"); break;
        case 't':
            chunked |= is_field(line, line_end, "transfer-encoding");
            traceparent |= is_field(line, line_end, "traceparent");
            break;
        case 'x': b3 |= is_field(line, line_end, "x-b3-traceid"); break;
        }
        line = line_end + 2;
    }
    if (connection->counted) seen.b3 += (unsigned long)b3, seen.traceparent += (unsigned long)traceparent;
    int is_otlp = contains(path, path_end, "/traces");
    spans_begin(&connection->spans, thrift ? SPANS_THRIFT : !protobuf ? SPANS_JSON : is_otlp ? SPANS_OTLP : SPANS_ZIPKIN_PROTO);
    if (expects) send(connection->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    connection->state = chunked ? CHUNK_SIZE : BODY;
    return 0;
}

// Moves what is not yet taken to the buffer's start; -1 if there is no room for more.
static int keep_rest(struct connection *connection) {
    memmove(connection->buffer, connection->buffer + connection->taken, connection->filled - connection->taken);
    connection->filled -= connection->taken;
    connection->taken = 0;
    return connection->filled == BUFFER ? -1 : 0;
}

static size_t take_body(struct connection *connection, const char *bytes, size_t length) {
    size_t taken = length < connection->left ? length : connection->left;
    count_body(connection, bytes, taken);
    connection->left -= taken;
    return taken;
}

// Takes all that has come; -1 if the connection ends.
static int take(struct connection *connection) {
    for (;;) {
        const char *bytes = connection->buffer + connection->taken, *end;
        size_t length = connection->filled - connection->taken;
        if (connection->out_length) return 0;  // one answer at a time
        if (!length) return connection->filled = connection->taken = 0, 0;
        switch (connection->state) {
        case HEAD:
            if (!(end = memmem(bytes, length, "\r\n\r\n", 4))) return keep_rest(connection);
            if (take_head(connection, bytes, end) < 0) return -1;
            connection->taken += (size_t)(end + 4 - bytes);
            if (connection->state == BODY && !connection->left && respond(connection) < 0) return -1;
            break;
        case BODY:
            connection->taken += take_body(connection, bytes, length);
            if (!connection->left && respond(connection) < 0) return -1;
            break;
        case CHUNK_BYTES:
            connection->taken += take_body(connection, bytes, length);
            if (!connection->left) connection->state = CHUNK_END;
            break;
        case CHUNK_SIZE:
        case CHUNK_END:
        case TRAILERS:
            if (!(end = memchr(bytes, '\n', length))) return keep_rest(connection);
            connection->taken += (size_t)(end + 1 - bytes);
            if (connection->state == CHUNK_SIZE) {
                connection->left = strtoul(bytes, NULL, 16);
                connection->state = connection->left ? CHUNK_BYTES : TRAILERS;
            } else if (connection->state == CHUNK_END) {
                connection->state = CHUNK_SIZE;
            } else if (end - bytes <= 1 && respond(connection) < 0) {
                return -1;
            }
        }
    }
}

// -1 if the connection ends.
static int receive(struct connection *connection) {
    if (connection->filled == BUFFER && keep_rest(connection) < 0) return 0;  // an answer must leave first
    ssize_t count = recv(connection->fd, connection->buffer + connection->filled, BUFFER - connection->filled, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (count <= 0) return -1;
    connection->filled += (size_t)count;
    return take(connection);
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *connection = malloc(sizeof *connection);
        if (!connection) exit(1);
        memset(connection, 0, offsetof(struct connection, buffer));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection->fd = fd;
        seen.connections++, seen.open++;
        watch(connection, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static int listen_on(uint32_t host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(host)}};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) return perror("upstream"), -1;
    struct epoll_event event = {EPOLLIN, {.u64 = (uint64_t)fd << 1 | 1}};  // odd: no pointer to a connection
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    return 0;
}

int main(int count, char **arguments) {
    if (count < 3) return fputs("upstream PORT replies [COUNT] | upstream PORT sink\n", stderr), 2;
    int port = atoi(arguments[1]), addresses = count > 3 ? atoi(arguments[3]) : 1;
    is_sink = !strcmp(arguments[2], "sink");
    signal(SIGPIPE, SIG_IGN);
    make_replies();
    poller = epoll_create1(0);
    for (int i = 0; i < addresses && i < ADDRESSES; i++)
        if (listen_on(i ? 0x7F000100u + (uint32_t)i : INADDR_LOOPBACK, port)) return 1;
    struct epoll_event events[256];
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        if (ready < 0 && errno != EINTR) return 1;
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u64 & 1) {
                accept_all((int)(events[i].data.u64 >> 1));
                continue;
            }
            struct connection *connection = events[i].data.ptr;
            int alive = 1;
            if (events[i].events & EPOLLOUT) alive = flush(connection);
            if (alive == 1 && events[i].events & EPOLLOUT) alive = take(connection);
            if (alive >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) alive = receive(connection);
            if (alive < 0) drop(connection);
        }
    }
}
