# SPDX-License-Identifier: Apache-2.0
"""Reads Zipkin's v2 proto3 and OTLP's ExportTraceServiceRequest."""

from __future__ import annotations

import struct as layout
from collections import defaultdict

from spans import BadReport, Span, span_id_text, trace_id_text

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
ZIPKIN_KINDS = {1: "CLIENT", 2: "SERVER", 3: "PRODUCER", 4: "CONSUMER"}
OTLP_KINDS = {2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


class Message:
    """One protobuf message: {field number: values in order}. Numbers are unsigned, everything else is bytes."""

    def __init__(self, body: bytes) -> None:
        self.numbers: defaultdict[int, list[int]] = defaultdict(list)
        self.chunks: defaultdict[int, list[bytes]] = defaultdict(list)
        position = 0
        while position < len(body):
            tag, position = _varint(body, position)
            field, kind = tag >> 3, tag & 7
            if field == 0:
                raise BadReport("protobuf field 0")
            if kind == VARINT:
                number, position = _varint(body, position)
                self.numbers[field].append(number)
            elif kind in (FIXED64, FIXED32):
                size = 8 if kind == FIXED64 else 4
                chunk = _slice(body, position, size)
                self.numbers[field].append(layout.unpack("<Q" if size == 8 else "<I", chunk)[0])
                position += size
            elif kind == BYTES:
                size, position = _varint(body, position)
                self.chunks[field].append(_slice(body, position, size))
                position += size
            else:
                raise BadReport(f"protobuf wire type {kind}")

    def number(self, field: int) -> int:
        """The last number of that field; 0 when absent, as proto3 reads it."""
        return (self.numbers.get(field) or [0])[-1]

    def chunk(self, field: int) -> bytes:
        """The last bytes of that field; empty when absent."""
        return (self.chunks.get(field) or [b""])[-1]

    def text(self, field: int) -> str:
        """The last text of that field; empty when absent."""
        return self.chunk(field).decode("utf-8", "replace")

    def messages(self, field: int) -> list[Message]:
        """Every message of that field."""
        return [Message(chunk) for chunk in self.chunks.get(field, [])]


def _varint(body: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(body):
            raise BadReport("protobuf ends early")
        byte = body[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise BadReport("protobuf varint of more than 10 bytes")


def _slice(body: bytes, position: int, size: int) -> bytes:
    if position + size > len(body):
        raise BadReport("protobuf ends early")
    return body[position : position + size]


def read_v2_proto(body: bytes) -> list[Span]:
    """Reads a Zipkin ListOfSpans."""
    return [_zipkin_span(message) for message in Message(body).messages(1)]


def _zipkin_span(message: Message) -> Span:
    trace_id, span_id = _ids(message.chunk(1), message.chunk(3), widths=(8, 16))
    tags = {entry.text(1): entry.text(2) for entry in message.messages(11)}
    return Span(
        trace_id=trace_id,
        id=span_id,
        parent_id=span_id_text(message.chunk(2).hex()),
        kind=ZIPKIN_KINDS.get(message.number(4), ""),
        service=Message(message.chunk(8)).text(1),
        name=message.text(5),
        timestamp=message.number(6),
        duration=message.number(7),
        shared=bool(message.number(13)),
        tags=tags,
        encoding="v2-proto",
    )


def read_otlp(body: bytes) -> list[Span]:
    """Reads an OTLP ExportTraceServiceRequest; the service name comes from the resource."""
    spans: list[Span] = []
    for resource_spans in Message(body).messages(1):
        resource = _attributes(Message(resource_spans.chunk(1)).messages(1))
        for scope_spans in resource_spans.messages(2):
            spans += [_otlp_span(span, resource.get("service.name", "")) for span in scope_spans.messages(2)]
    return spans


def _otlp_span(message: Message, service: str) -> Span:
    trace_id, span_id = _ids(message.chunk(1), message.chunk(2), widths=(16,))
    start, end = message.number(7), message.number(8)
    return Span(
        trace_id=trace_id,
        id=span_id,
        parent_id=span_id_text(message.chunk(4).hex()),
        kind=OTLP_KINDS.get(message.number(6), ""),
        service=service,
        name=message.text(5),
        timestamp=start // 1000,
        duration=max(0, end - start) // 1000,
        tags=_attributes(message.messages(9)),
        encoding="otlp",
    )


def _attributes(pairs: list[Message]) -> dict[str, str]:
    return {pair.text(1): _any_value(Message(pair.chunk(2))) for pair in pairs}


def _any_value(value: Message) -> str:
    if 2 in value.numbers:
        return "true" if value.number(2) else "false"
    if 3 in value.numbers:
        number = value.number(3)
        return str(number - (1 << 64) if number >> 63 else number)
    return value.text(1)


def _ids(trace_id: bytes, span_id: bytes, *, widths: tuple[int, ...]) -> tuple[str, str]:
    span = span_id_text(span_id.hex())
    if len(trace_id) not in widths or not any(trace_id) or len(span_id) != 8 or span is None:
        raise BadReport(f"ids of {len(trace_id)} and {len(span_id)} bytes")
    return trace_id_text(trace_id.hex()), span
