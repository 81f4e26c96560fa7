// A cheap HTTP/2 server for benchmarks, with prior knowledge: one thread, level-triggered epoll, libnghttp2.
//   upstream_h2 PORT STATS_PORT
// 200 for /0k (20 bytes), /1k, /10k, /100k and /1m; gRPC for /bench.Echo/Unary and /bench.Echo/Stream, which answer with 1 and 100 messages of 100 bytes and
// with the trailer grpc-status: 0; else 404. Whoever connects to STATS_PORT and sends something is told what has been seen, as JSON.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 18, STREAMS = 1000, MESSAGE = 105 };

struct reply {
    const char *path;
    size_t size;
    int is_grpc;
    char *bytes, length[24];
};
static struct reply replies[] = {
    {"/0k", 20, 0, 0, ""}, {"/1k", 1024, 0, 0, ""}, {"/10k", 10240, 0, 0, ""}, {"/100k", 102400, 0, 0, ""}, {"/1m", 1048576, 0, 0, ""},
    {"/bench.Echo/Unary", MESSAGE, 1, 0, ""}, {"/bench.Echo/Stream", 100 * MESSAGE, 1, 0, ""}};
enum { REPLIES = sizeof replies / sizeof *replies };

struct stream {
    const struct reply *reply;
    size_t sent;
    int has_b3, has_traceparent;
};

struct connection {
    int fd, waits_to_write;
    nghttp2_session *session;
    char *out;  // of BUFFER bytes, only while the socket is full
    size_t out_length, out_sent;
};

static struct { unsigned long requests, body_bytes, connections, open, b3, traceparent, bad; } seen;
static int poller, one = 1;
static uint8_t in[65536];
static char gathered[BUFFER];
static nghttp2_session_callbacks *callbacks;

static void make_replies(void) {
    for (int i = 0; i < REPLIES; i++) {
        struct reply *reply = &replies[i];
        if (!(reply->bytes = malloc(reply->size))) exit(1);
        sprintf(reply->length, "%zu", reply->size);
        for (size_t k = 0; k < reply->size; k++)
            reply->bytes[k] = !reply->is_grpc ? "abcdefghijklmnopqrstuvwxyz012345"[k % 32] : k % MESSAGE == 4 ? 100 : k % MESSAGE < 5 ? 0 : 'm';
    }
}

#define FIELD(name, value) {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value), NGHTTP2_NV_FLAG_NONE}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags, nghttp2_data_source *source, void *context) {
    (void)context;
    struct stream *stream = source->ptr;
    size_t left = stream->reply->size - stream->sent, count = left < room ? left : room;
    memcpy(to, stream->reply->bytes + stream->sent, count);
    stream->sent += count;
    if (count < left) return (ssize_t)count;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->reply->is_grpc) {
        nghttp2_nv trailer[] = {FIELD("grpc-status", "0")};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, trailer, 1);
    }
    return (ssize_t)count;
}

static void respond(nghttp2_session *session, int32_t id, struct stream *stream) {
    seen.requests++, seen.b3 += (unsigned long)stream->has_b3, seen.traceparent += (unsigned long)stream->has_traceparent;
    if (!stream->reply) {
        nghttp2_nv fields[] = {FIELD(":status", "404")};
        seen.bad++;
        nghttp2_submit_response(session, id, fields, 1, NULL);
        return;
    }
    nghttp2_data_provider body = {{.ptr = stream}, read_body};
    nghttp2_nv fields[] = {FIELD(":status", "200"), FIELD("server", "up"),
                           FIELD("content-type", stream->reply->is_grpc ? "application/grpc" : "application/octet-stream"),
                           FIELD("content-length", stream->reply->length)};  // not with gRPC
    nghttp2_submit_response(session, id, fields, stream->reply->is_grpc ? 3 : 4, &body);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    (void)context;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) exit(1);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value,
                     size_t value_length, uint8_t flags, void *context) {
    (void)flags, (void)context;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!stream) return 0;
    if (name_length == 5 && !memcmp(name, ":path", 5)) {
        for (int i = 0; i < REPLIES; i++)
            if (strlen(replies[i].path) == value_length && !memcmp(replies[i].path, value, value_length)) stream->reply = &replies[i];
    } else if ((name_length == 2 && !memcmp(name, "b3", 2)) || (name_length == 12 && !memcmp(name, "x-b3-traceid", 12))) {
        stream->has_b3 = 1;
    } else if (name_length == 11 && !memcmp(name, "traceparent", 11)) {
        stream->has_traceparent = 1;
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    (void)context;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) respond(session, frame->hd.stream_id, stream);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length, void *context) {
    (void)session, (void)flags, (void)id, (void)bytes, (void)context;
    seen.body_bytes += length;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *context) {
    (void)error, (void)context;
    free(nghttp2_session_get_stream_user_data(session, id));
    nghttp2_session_set_stream_user_data(session, id, NULL);
    return 0;
}

static void watch(struct connection *connection, uint32_t events, int operation) {
    struct epoll_event event = {events, {.ptr = connection}};
    epoll_ctl(poller, operation, connection->fd, &event);
}

// Streams that are open at a connection's end are not told of as closed.
static void drop(struct connection *connection) {
    for (int32_t id = 1; id <= nghttp2_session_get_last_proc_stream_id(connection->session); id += 2)
        if (nghttp2_session_find_stream(connection->session, id)) free(nghttp2_session_get_stream_user_data(connection->session, id));
    nghttp2_session_del(connection->session);
    close(connection->fd);
    free(connection->out);
    free(connection);
    seen.open--;
}

// Sends what it can; keeps the rest. -1 if the connection ends.
static int send_bytes(struct connection *connection, const char *bytes, size_t length) {
    ssize_t sent = send(connection->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return -1;
    size_t rest = length - (sent < 0 ? 0 : (size_t)sent);
    if (!rest) return 0;
    if (!connection->out && !(connection->out = malloc(BUFFER))) return -1;
    memmove(connection->out, bytes + length - rest, rest);
    connection->out_length = rest, connection->out_sent = 0;
    if (!connection->waits_to_write) watch(connection, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    connection->waits_to_write = 1;
    return 0;
}

// All frames there are in as few calls as may be. -1 if the connection ends.
static int flush(struct connection *connection) {
    if (connection->out_length) {
        size_t length = connection->out_length;
        connection->out_length = 0;
        if (send_bytes(connection, connection->out, length) < 0) return -1;
        if (connection->out_length) return 0;
    }
    for (size_t filled = 0;;) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(connection->session, &bytes);
        if (length < 0) return -1;
        if (length > 0) memcpy(gathered + filled, bytes, (size_t)length), filled += (size_t)length;
        if (filled && (length == 0 || filled > BUFFER - 32768)) {  // a frame is 16 KiB at most
            if (send_bytes(connection, gathered, filled) < 0) return -1;
            if (connection->out_length) return 0;
            filled = 0;
        }
        if (length == 0) break;
    }
    if (connection->waits_to_write) watch(connection, EPOLLIN, EPOLL_CTL_MOD);
    connection->waits_to_write = 0;
    return nghttp2_session_want_read(connection->session) || nghttp2_session_want_write(connection->session) ? 0 : -1;
}

static int receive(struct connection *connection) {
    ssize_t count = recv(connection->fd, in, sizeof in, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (count <= 0) return -1;
    return nghttp2_session_mem_recv(connection->session, in, (size_t)count) == count ? 0 : -1;
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct connection *connection = calloc(1, sizeof *connection);
        nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS}};
        if (!connection || nghttp2_session_server_new(&connection->session, callbacks, connection)) exit(1);
        nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 1);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection->fd = fd;
        seen.connections++, seen.open++;
        watch(connection, EPOLLIN, EPOLL_CTL_ADD);
        if (flush(connection) < 0) drop(connection);
    }
}

static void tell_stats(int listener) {
    int fd = accept(listener, NULL, NULL);
    char asked[4096], body[512], answer[1024];
    struct timeval patience = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && recv(fd, asked, sizeof asked, 0) > 0) {
        int size = snprintf(body, sizeof body,
                            "{\"requests\":%lu,\"body_bytes\":%lu,\"connections\":%lu,\"open\":%lu,\"b3\":%lu,\"traceparent\":%lu,\"spans\":0,\"bad\":%lu}\n",
                            seen.requests, seen.body_bytes, seen.connections, seen.open, seen.b3, seen.traceparent, seen.bad);
        int length = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", size, body);
        send(fd, answer, (size_t)length, MSG_NOSIGNAL);
    }
    close(fd);
}

static int listen_on(int port, uint64_t mark) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) perror("upstream_h2"), exit(1);
    struct epoll_event event = {EPOLLIN, {.u64 = mark}};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    return fd;
}

static void make_callbacks(void) {
    if (nghttp2_session_callbacks_new(&callbacks)) exit(1);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

int main(int count, char **arguments) {
    if (count < 3) return fputs("upstream_h2 PORT STATS_PORT\n", stderr), 2;
    enum { LISTENER = 1, STATS = 2 };  // no pointers
    signal(SIGPIPE, SIG_IGN);
    make_replies();
    make_callbacks();
    poller = epoll_create1(0);
    int listener = listen_on(atoi(arguments[1]), LISTENER), stats = listen_on(atoi(arguments[2]), STATS);
    struct epoll_event events[256];
    for (;;) {
        int ready = epoll_wait(poller, events, 256, -1);
        if (ready < 0 && errno != EINTR) return 1;
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].data.u64 == LISTENER) accept_all(listener);
            else if (events[i].data.u64 == STATS) tell_stats(stats);
            else if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && receive(connection) < 0) || flush(connection) < 0) drop(connection);
        }
    }
}
