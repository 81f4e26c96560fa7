// Counts the spans of a post as its bytes come by, in every encoding the proxies send.
#ifndef SPANS_H
#define SPANS_H
#include <stddef.h>
#include <string.h>

enum span_format {
    SPANS_JSON,          // Zipkin v1 or v2: every span has one "traceId"
    SPANS_ZIPKIN_PROTO,  // ListOfSpans: field 1, repeated
    SPANS_OTLP,          // ExportTraceServiceRequest > ResourceSpans (1) > ScopeSpans (2) > Span (2)
    SPANS_THRIFT,        // a list: element type, 32-bit count
};

struct span_counter {
    enum span_format format;
    char tail[16];              // JSON: the last bytes, for a key that is cut in two
    size_t tail_length;
    size_t position;            // thrift: bytes seen
    unsigned long number;       // a number that is being read
    unsigned shift, tag;
    int depth, in_number;       // protobuf: message we are in; between a tag and the end of its length
    unsigned long skip, left[4];  // bytes of a field that is passed over; bytes left of each open message
};

static void spans_begin(struct span_counter *counter, enum span_format format) {
    memset(counter, 0, sizeof *counter);
    counter->format = format;
    counter->left[0] = ~0ul;
}

static unsigned long spans_in_json(struct span_counter *counter, const char *bytes, size_t length) {
    static const char key[] = "\"traceId\"";
    const size_t size = sizeof key - 1;
    unsigned long found = 0;
    char seam[32];
    size_t head = length < size - 1 ? length : size - 1;
    memcpy(seam, counter->tail, counter->tail_length);
    memcpy(seam + counter->tail_length, bytes, head);
    found += memmem(seam, counter->tail_length + head, key, size) != NULL;
    for (const char *at = bytes, *end = bytes + length; (at = memmem(at, (size_t)(end - at), key, size)); at += size) found++;
    if (length >= size - 1) {
        counter->tail_length = size - 1;
        memcpy(counter->tail, bytes + length - counter->tail_length, counter->tail_length);
    } else {  // a very short piece: the seam's end is the new tail
        size_t whole = counter->tail_length + head, kept = whole < size - 1 ? whole : size - 1;
        memcpy(counter->tail, seam + whole - kept, kept);
        counter->tail_length = kept;
    }
    return found;
}

static unsigned long spans_in_thrift(struct span_counter *counter, const char *bytes, size_t length) {
    unsigned long found = 0;
    for (size_t i = 0; i < length && counter->position < 5; i++, counter->position++) {
        if (counter->position > 0) counter->number = counter->number << 8 | (unsigned char)bytes[i];
        if (counter->position == 4) found = counter->number;
    }
    return found;
}

// A field's length is known: enter the message, count the span, or pass over it.
static unsigned long protobuf_field(struct span_counter *counter) {
    static const unsigned zipkin[] = {0x0A}, otlp[] = {0x0A, 0x12, 0x12};
    const unsigned *path = counter->format == SPANS_OTLP ? otlp : zipkin;
    const int deepest = counter->format == SPANS_OTLP ? 2 : 0;
    if ((counter->tag & 7) != 2) return 0;
    if (counter->tag != path[counter->depth] || counter->depth == deepest) {
        counter->skip = counter->number;
        return counter->tag == path[counter->depth];
    }
    counter->left[counter->depth] -= counter->number;
    counter->left[++counter->depth] = counter->number;
    return 0;
}

static unsigned long spans_in_protobuf(struct span_counter *counter, const char *bytes, size_t length) {
    unsigned long found = 0;
    for (size_t i = 0; i < length;) {
        if (counter->skip) {
            size_t step = length - i < counter->skip ? length - i : counter->skip;
            counter->skip -= step, counter->left[counter->depth] -= step, i += step;
        } else {
            unsigned char byte = (unsigned char)bytes[i++];
            counter->left[counter->depth]--;
            if (!counter->in_number) {
                counter->tag = byte, counter->number = 0, counter->shift = 0, counter->in_number = 1;
            } else {
                counter->number |= (unsigned long)(byte & 0x7F) << (counter->shift & 63);
                counter->shift += 7;
                if (!(byte & 0x80)) counter->in_number = 0, found += protobuf_field(counter);
            }
        }
        while (counter->depth && !counter->left[counter->depth] && !counter->skip && !counter->in_number) counter->depth--;
    }
    return found;
}

/// How many spans begin in these bytes, the next of their post.
static unsigned long spans_feed(struct span_counter *counter, const char *bytes, size_t length) {
    switch (counter->format) {
    case SPANS_JSON: return spans_in_json(counter, bytes, length);
    case SPANS_THRIFT: return spans_in_thrift(counter, bytes, length);
    default: return spans_in_protobuf(counter, bytes, length);
    }
}
#endif
