// Latency of GET over HTTP/1.1 connections that stay open, as JSON in microseconds.
//
//   latency PORT PATH RATE SECONDS [CONNECTIONS [WARM_SECONDS]]
//
// RATE requests a second of all connections together, at evenly spaced times fixed beforehand. A latency is counted from the time its
// request was due, not from when it could be sent: a target that stalls pays for every request that waits meanwhile (no coordinated
// omission). RATE 0 is a closed loop on one connection: the next request follows the response. Requests due in the first WARM_SECONDS
// are sent and not counted. What has no response one second after the end counts as unanswered, with the time it has waited so far.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_CONNECTIONS = 10000,
    MOST_REQUESTS = 20000000,
    MOST_RECONNECTIONS = 1000,
    HEAD_SPACE = 8192,  // bytes of a response head; a longer one is a fault
    EVENTS = 256,
};

static const int64_t SECOND = 1000000000;  // all times are nanoseconds of CLOCK_MONOTONIC
static const int64_t GRACE = 1000000000;

static int64_t nanoseconds(double seconds) { return (int64_t)(seconds * 1e9); }

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "latency: %s: %s\n", what, strerror(errno));
    exit(1);
}

// MARK: Histogram

// Counts by value, in buckets that are exact below 256 ns and at most 1/128 of the value wide above.
enum { STEPS = 128, BUCKETS = STEPS * 58 };

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total;
    int64_t smallest, largest;
    double sum;
};

static struct histogram latencies, delays;

static unsigned bucket_of(uint64_t value) {
    if (value < 2 * STEPS) return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - 7u;
    return shift * STEPS + (unsigned)(value >> shift);
}

static double middle_of(unsigned bucket) {
    if (bucket < 2 * STEPS) return bucket;
    unsigned shift = bucket / STEPS - 1;
    return ((double)(bucket - shift * STEPS) + 0.5) * (double)((uint64_t)1 << shift);
}

static void record(struct histogram *histogram, int64_t value) {
    if (value < 0) value = 0;
    histogram->counts[bucket_of((uint64_t)value)]++;
    if (!histogram->total || value < histogram->smallest) histogram->smallest = value;
    if (value > histogram->largest) histogram->largest = value;
    histogram->sum += (double)value;
    histogram->total++;
}

// Microseconds which this share of the values does not exceed.
static double quantile(const struct histogram *histogram, double share) {
    double wanted = share * (double)histogram->total;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (!seen || (double)seen < wanted) continue;
        double value = middle_of(bucket), largest = (double)histogram->largest;
        return (value < largest ? value : largest) / 1000;
    }
    return 0;
}

// MARK: Connections

struct connection {
    int descriptor;
    int64_t due;         // of the request under way; 0: none
    int64_t free_since;  // when the response before was whole
    size_t head_length;  // bytes of the head so far
    int64_t body_left;   // -1: the head is not whole
    int good;            // the status was 200 and the length known
    int last;            // the response says that the connection ends
    char head[HEAD_SPACE + 1];
};

static struct connection *connections;
static unsigned connection_count;
static uint64_t bad, unanswered, reconnections;
static struct sockaddr_in address;
static char request[1024];
static size_t request_length;
static int poller;

static void watch(struct connection *connection) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->descriptor, &event)) fail("epoll_ctl");
}

static void open_connection(struct connection *connection) {
    int yes = 1;
    connection->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->descriptor < 0) fail("socket");
    if (connect(connection->descriptor, (struct sockaddr *)&address, sizeof address)) fail("connect");
    struct timeval patience = {.tv_sec = 1};
    setsockopt(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(connection->descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connection->due = 0;
}

static void reopen(struct connection *connection) {
    if (++reconnections > MOST_RECONNECTIONS) {
        fprintf(stderr, "latency: more than %d connections were closed or had no response with status 200 and Content-Length\n", MOST_RECONNECTIONS);
        exit(1);
    }
    close(connection->descriptor);
    open_connection(connection);
    watch(connection);
}

// A request is far below the send buffer of a connection that has nothing under way: it is taken whole or the connection is broken.
static int send_request(struct connection *connection, int64_t due) {
    connection->due = due;
    connection->head_length = 0;
    connection->body_left = -1;
    return send(connection->descriptor, request, request_length, MSG_NOSIGNAL) == (ssize_t)request_length;
}

// MARK: Responses

static int64_t content_length(const char *head) {
    const char *field = strcasestr(head, "\r\ncontent-length:");
    return field ? strtoll(field + 17, NULL, 10) : -1;
}

// Takes what has been received into the head; anything behind the head is the body's.
static int read_head(struct connection *connection) {
    char *end = memmem(connection->head, connection->head_length, "\r\n\r\n", 4);
    if (!end) return connection->head_length < HEAD_SPACE;
    int64_t body = (int64_t)(connection->head_length - (size_t)(end + 4 - connection->head));
    end[2] = 0;
    int64_t length = content_length(connection->head);
    connection->good = !strncmp(connection->head, "HTTP/1.1 200 ", 13) && length >= 0;
    connection->body_left = length - body;
    connection->last = strcasestr(connection->head, "\r\nconnection: close") != NULL;
    return connection->good && connection->body_left >= 0;
}

enum progress { WAITS, DONE, BROKEN };

static enum progress receive(struct connection *connection, int flags) {
    static char ignored[1 << 18];
    int in_head = connection->body_left < 0;
    char *into = in_head ? connection->head + connection->head_length : ignored;
    size_t room = in_head ? HEAD_SPACE - connection->head_length : sizeof ignored;
    ssize_t count = recv(connection->descriptor, into, room, flags);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return WAITS;
    if (count <= 0 || !connection->due) return BROKEN;
    if (in_head) {
        connection->head_length += (size_t)count;
        if (!read_head(connection)) return BROKEN;
    } else {
        connection->body_left -= count;
        if (connection->body_left < 0) return BROKEN;
    }
    return connection->body_left ? WAITS : DONE;
}

// MARK: Closed loop

static void closed_loop(int64_t counted_from, int64_t end) {
    struct connection *only = connections;
    for (int64_t begin = now(); begin < end && latencies.total < MOST_REQUESTS; begin = now()) {
        enum progress progress = send_request(only, begin) ? WAITS : BROKEN;
        while (progress == WAITS && now() < end + GRACE) progress = receive(only, 0);
        if (progress == WAITS) {
            record(&latencies, now() - begin);
            unanswered++;
            reopen(only);
        } else if (progress == BROKEN) {
            bad++;
            reopen(only);
        } else {
            if (begin >= counted_from) record(&latencies, now() - begin);
            if (only->last) reopen(only);
        }
    }
}

// MARK: Open loop

// Connections without a request, first come, first used.
struct idle_ring {
    struct connection **slots;
    unsigned first, count;
};

static struct idle_ring idle;

static void put_idle(struct connection *connection) {
    connection->free_since = now();
    idle.slots[(idle.first + idle.count++) % connection_count] = connection;
}

static struct connection *take_idle(void) {
    struct connection *connection = idle.slots[idle.first];
    idle.first = (idle.first + 1) % connection_count;
    idle.count--;
    return connection;
}

struct schedule {
    int64_t start, counted_from;
    double interval;
    uint64_t next, count;  // requests
};

static int64_t due_time(const struct schedule *schedule, uint64_t request_number) {
    return schedule->start + (int64_t)((double)request_number * schedule->interval);
}

static void settle(const struct schedule *schedule, struct connection *connection, enum progress progress) {
    if (progress == WAITS) return;
    int64_t due = connection->due;
    connection->due = 0;
    if (progress == DONE) {
        if (due >= schedule->counted_from) record(&latencies, now() - due);
        if (connection->last) reopen(connection);
        put_idle(connection);
    } else if (due) {
        bad++;
        reopen(connection);
        put_idle(connection);
    } else {
        reopen(connection);  // closed while idle: it stays in the ring
    }
}

// Sends what is due as far as there are idle connections. How late it is sent though its connection was free is the delay of this program.
static void send_due(struct schedule *schedule) {
    while (idle.count && schedule->next < schedule->count) {
        int64_t due = due_time(schedule, schedule->next), time = now();
        if (due > time) return;
        schedule->next++;
        struct connection *connection = take_idle();
        if (due >= schedule->counted_from) record(&delays, time - (due > connection->free_since ? due : connection->free_since));
        if (!send_request(connection, due)) settle(schedule, connection, BROKEN);
    }
}

static int waiting(const struct schedule *schedule) { return schedule->next < schedule->count || idle.count < connection_count; }

static void wait_for_events(const struct schedule *schedule, int64_t end) {
    struct epoll_event events[EVENTS];
    int64_t until = end;
    if (idle.count && schedule->next < schedule->count) until = due_time(schedule, schedule->next);
    int64_t left = until - now();
    if (left < 0) left = 0;
    struct timespec timeout = {.tv_sec = left / SECOND, .tv_nsec = left % SECOND};
    int count = epoll_pwait2(poller, events, EVENTS, &timeout, NULL);
    if (count < 0 && errno != EINTR) fail("epoll_pwait2");
    for (int index = 0; index < count; index++) {
        struct connection *connection = events[index].data.ptr;
        settle(schedule, connection, receive(connection, MSG_DONTWAIT));
    }
}

static void count_unanswered(const struct schedule *schedule) {
    int64_t time = now();
    for (unsigned index = 0; index < connection_count; index++) {
        if (connections[index].due < schedule->counted_from) continue;
        record(&latencies, time - connections[index].due);
        unanswered++;
    }
    for (uint64_t late = schedule->next; late < schedule->count; late++) {
        record(&latencies, time - due_time(schedule, late));
        unanswered++;
    }
}

static void open_loop(double rate, int64_t start, int64_t counted_from, int64_t end) {
    struct schedule schedule = {.start = start, .counted_from = counted_from, .interval = 1e9 / rate};
    double count = (double)(end - start) / schedule.interval;
    schedule.count = count < MOST_REQUESTS ? (uint64_t)count : MOST_REQUESTS;
    for (unsigned index = 0; index < connection_count; index++) put_idle(&connections[index]);
    for (unsigned index = 0; index < connection_count; index++) watch(&connections[index]);
    while (waiting(&schedule) && now() < end + GRACE) {
        send_due(&schedule);
        wait_for_events(&schedule, end + GRACE);
    }
    count_unanswered(&schedule);
}

// MARK: Main

static void print_results(double seconds) {
    double mean = latencies.total ? latencies.sum / (double)latencies.total / 1000 : 0;
    printf("{\"n\": %llu, \"bad\": %llu, \"unanswered\": %llu, \"reconnections\": %llu, \"seconds\": %.3f, ", (unsigned long long)latencies.total,
           (unsigned long long)bad, (unsigned long long)unanswered, (unsigned long long)reconnections, seconds);
    printf("\"min\": %.2f, \"mean\": %.2f, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"max\": %.2f, ", (double)latencies.smallest / 1000,
           mean, quantile(&latencies, 0.5), quantile(&latencies, 0.9), quantile(&latencies, 0.99), quantile(&latencies, 0.999),
           (double)latencies.largest / 1000);
    printf("\"delay_p50\": %.2f, \"delay_p99\": %.2f}\n", quantile(&delays, 0.5), quantile(&delays, 0.99));
}

static void prepare(const char *port, const char *path) {
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n", path, port);
    if (length < 0 || (size_t)length >= sizeof request) fail("the path is too long");
    request_length = (size_t)length;
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(connection_count, sizeof *connections);
    idle.slots = calloc(connection_count, sizeof *idle.slots);
    if (poller < 0 || !connections || !idle.slots) fail("prepare");
    for (unsigned index = 0; index < connection_count; index++) open_connection(&connections[index]);
    prctl(PR_SET_TIMERSLACK, 1UL);  // else the kernel wakes us up to 50 us late
}

int main(int count, char **arguments) {
    if (count < 5 || count > 7) {
        fprintf(stderr, "usage: latency PORT PATH RATE SECONDS [CONNECTIONS [WARM_SECONDS]]\n");
        return 64;
    }
    double rate = atof(arguments[3]), seconds = atof(arguments[4]), warm = count > 6 ? atof(arguments[6]) : 0;
    int wanted = count > 5 && rate > 0 ? atoi(arguments[5]) : 1;
    connection_count = wanted < 1 ? 1 : wanted > MOST_CONNECTIONS ? MOST_CONNECTIONS : (unsigned)wanted;
    prepare(arguments[1], arguments[2]);
    int64_t start = now(), counted_from = start + nanoseconds(warm), end = counted_from + nanoseconds(seconds);
    if (rate > 0) {
        open_loop(rate, start, counted_from, end);
    } else {
        closed_loop(counted_from, end);
    }
    print_results(seconds);
    return 0;
}
