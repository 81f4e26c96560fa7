# SPDX-License-Identifier: Apache-2.0
"""The messages of org.feuyeux.grpc.LandingService, in protobuf's wire format, written and read without generated code.

    TalkRequest  { string data = 1; string meta = 2; }
    TalkResponse { int32 status = 1; repeated TalkResult results = 2; }
    TalkResult   { int64 id = 1; ResultType type = 2; map<string, string> kv = 3; }    ResultType: OK = 0, FAIL = 1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator

Value = int | bytes


@dataclass
class TalkRequest:
    """`data` is the number of a greeting, 0 to 5, or several with commas; `meta` names the caller's language."""

    data: str = ""
    meta: str = ""

    def write(self) -> bytes:
        """The message's bytes."""
        return _text(1, self.data) + _text(2, self.meta)

    @classmethod
    def read(cls, message: bytes) -> TalkRequest:
        """Raises ValueError for what is no message."""
        request = cls()
        for number, value in _fields(message):
            match number, value:
                case 1, bytes():
                    request.data = value.decode()
                case 2, bytes():
                    request.meta = value.decode()
        return request


@dataclass
class TalkResult:
    """One answer."""

    id: int = 0
    type: int = 0
    kv: dict[str, str] = field(default_factory=dict)

    def write(self) -> bytes:
        """The message's bytes."""
        entries = b"".join(_piece(3, _text(1, key) + _text(2, value)) for key, value in self.kv.items())
        return _number(1, self.id) + _number(2, self.type) + entries

    @classmethod
    def read(cls, message: bytes) -> TalkResult:
        """Raises ValueError for what is no message."""
        result = cls()
        for number, value in _fields(message):
            match number, value:
                case 1, int():
                    result.id = value
                case 2, int():
                    result.type = value
                case 3, bytes():
                    entry = {n: v.decode() for n, v in _fields(value) if isinstance(v, bytes)}
                    result.kv[entry.get(1, "")] = entry.get(2, "")
        return result


@dataclass
class TalkResponse:
    """The answers to one request, or to a whole stream of them."""

    status: int = 0
    results: list[TalkResult] = field(default_factory=list)

    def write(self) -> bytes:
        """The message's bytes."""
        return _number(1, self.status) + b"".join(_piece(2, result.write()) for result in self.results)

    @classmethod
    def read(cls, message: bytes) -> TalkResponse:
        """Raises ValueError for what is no message."""
        response = cls()
        for number, value in _fields(message):
            match number, value:
                case 1, int():
                    response.status = value
                case 2, bytes():
                    response.results.append(TalkResult.read(value))
        return response


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _number(field_number: int, value: int) -> bytes:
    # Proto3 leaves zero out. Negative numbers do not occur here.
    return _varint(field_number << 3) + _varint(value) if value else b""


def _piece(field_number: int, value: bytes) -> bytes:
    return _varint(field_number << 3 | 2) + _varint(len(value)) + value


def _text(field_number: int, value: str) -> bytes:
    return _piece(field_number, value.encode()) if value else b""


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """The fields with numbers and their values: varints and length-delimited ones, which are all that occur."""
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            if at >= len(message) or shift > 63:
                raise ValueError("a number without end")
            byte = message[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            size = varint()
            if at + size > len(message):
                raise ValueError("a field longer than its message")
            yield key >> 3, message[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {key & 7}")
