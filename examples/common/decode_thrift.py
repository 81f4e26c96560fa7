# SPDX-License-Identifier: Apache-2.0
"""Reads Zipkin's v1 thrift: a TBinaryProtocol list of spans without a message envelope, big endian."""

from __future__ import annotations

import struct as layout
from typing import Any

from decode_json import v1_span
from spans import BadReport, Span, span_id_text, trace_id_text

BOOL, BYTE, DOUBLE, I16, I32, I64, TEXT, STRUCT, MAP, SET, LIST = 2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15
NUMBERS = {BOOL: ">?", BYTE: ">b", DOUBLE: ">d", I16: ">h", I32: ">i", I64: ">q"}
TEXT_TYPE = 6
"""BinaryAnnotation.annotation_type of a tag."""


class ThriftReader:
    """Walks one body. A struct is read into {field id: value}; unknown fields are kept and ignored."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes, never fewer."""
        if count < 0 or self.position + count > len(self.body):
            raise BadReport(f"thrift ends early at byte {self.position}")
        self.position += count
        return self.body[self.position - count : self.position]

    def number(self, kind: int) -> Any:
        """One fixed-width value."""
        form = NUMBERS[kind]
        return layout.unpack(form, self.take(layout.calcsize(form)))[0]

    def value(self, kind: int, depth: int = 0) -> Any:
        """One value of any type."""
        if depth > 8:
            raise BadReport("thrift nested too deep")
        if kind in NUMBERS:
            return self.number(kind)
        if kind == TEXT:
            return self.take(self.number(I32))
        if kind == STRUCT:
            return self.fields(depth + 1)
        if kind in (LIST, SET):
            item, count = self.number(BYTE), self.number(I32)
            # An element has at least one byte, so a larger count is a lie about memory.
            if not 0 <= count <= len(self.body):
                raise BadReport(f"thrift list of {count} elements")
            return [self.value(item, depth + 1) for _ in range(count)]
        raise BadReport(f"thrift type {kind} at byte {self.position}")

    def fields(self, depth: int) -> dict[int, Any]:
        """The fields of one struct."""
        found: dict[int, Any] = {}
        while (kind := self.number(BYTE)) != 0:
            identifier = self.number(I16)
            found[identifier] = self.value(kind, depth)
        return found


def read_v1_thrift(body: bytes) -> list[Span]:
    """Reads a whole report."""
    reader = ThriftReader(body)
    if not body or body[0] != STRUCT:
        raise BadReport("not a thrift list of structs")
    spans = [_span(fields) for fields in reader.value(LIST)]
    if reader.position != len(body):
        raise BadReport(f"{len(body) - reader.position} bytes after the thrift list")
    return spans


def _span(fields: dict[int, Any]) -> Span:
    high, low, identifier = fields.get(12, 0), fields.get(1), fields.get(4)
    span_id = span_id_text(_hex(identifier or 0))
    if low is None or span_id is None:
        raise BadReport("a span without trace_id or id")
    return v1_span(
        trace_id_text((_hex(high) if high else "") + _hex(low)),
        span_id,
        span_id_text(_hex(fields.get(5, 0))),
        name=_text(fields.get(3, b"")),
        timestamp=fields.get(10, 0),
        duration=fields.get(11, 0),
        notes=[(note.get(1, 0), _text(note.get(2, b"")), _service(note.get(3))) for note in fields.get(6, [])],
        tags=[
            (
                _text(note.get(1, b"")),
                _text(note.get(2, b"")) if note.get(3) == TEXT_TYPE else note.get(2),
                _service(note.get(4)),
            )
            for note in fields.get(8, [])
        ],
        encoding="v1-thrift",
    )


def _hex(signed: int) -> str:
    return f"{signed & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _service(endpoint: dict[int, Any] | None) -> str:
    return _text((endpoint or {}).get(3, b""))
