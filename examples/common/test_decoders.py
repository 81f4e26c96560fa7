# SPDX-License-Identifier: Apache-2.0
"""The readers against bytes of other programs: py_zipkin 0.20.2 and protobuf's own writer. `python3 test_decoders.py`"""

from __future__ import annotations

import json
import unittest

from decode_json import read_v1, read_v2
from decode_protobuf import read_otlp, read_v2_proto
from decode_thrift import read_v1_thrift
from spans import BadReport, Span
from tree import assemble

THRIFT = bytes.fromhex(
    """
    0c000000010a000164fe8b2a57d3eff70b000300000005696e6465780a0004e457b5a2e4d86bd10f00060c000000020a000100060a241820
    22400b00020000000273720c0003080001c000020a06000213880b00030000000d45787465726e616c50726f787900000a000100060a2418
    20d4ae0b00020000000273730c0003080001c000020a06000213880b00030000000d45787465726e616c50726f787900000f00080c000000
    030b00010000000b687474702e6d6574686f640b000200000003474554080003000000060c0004080001c000020a06000213880b00030000
    000d45787465726e616c50726f787900000b000100000010687474702e7374617475735f636f64650b000200000003323030080003000000
    060c0004080001c000020a06000213880b00030000000d45787465726e616c50726f787900000b00010000000263610b0002000000010108
    0003000000000c0004080001c6336407060002c8220b0003000000046375726c0000020009000a000a00060a24182022400a000b00000000
    0000b26e0a000c80f198ee56343ba800
    """
)
PROTO = bytes.fromhex(
    """
    0a8b010a1080f198ee56343ba864fe8b2a57d3eff71a08e457b5a2e4d86bd120022a05696e6465783140222018240a060038eee40242180a
    0d45787465726e616c50726f78791204c000020a2088274a100a046375726c1204c633640720a290035a120a0b687474702e6d6574686f64
    12034745545a170a10687474702e7374617475735f636f64651203323030
    """
)
OTLP = bytes.fromhex(
    """
    0ad8010a210a1f0a0c736572766963652e6e616d65120f0a0d45787465726e616c50726f787912b2010a0b0a04656467651203312e3012a2
    010a1080f198ee56343ba864fe8b2a57d3eff71208e457b5a2e4d86bd12a0347455430023900ca853dfe9c971741b0c73e40fe9c97174a1c
    0a13687474702e726571756573742e6d6574686f6412050a034745544a0f0a0875726c2e7061746812030a012f4a140a0a75726c2e736368
    656d6512060a04687474704a200a19687474702e726573706f6e73652e7374617475735f636f6465120318c801850101010000
    """
)
TRACE, SPAN, START, DURATION = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", 1700000000123456, 45678
TAGS = {"http.method": "GET", "http.status_code": "200"}
LOCAL = {"serviceName": "ExternalProxy", "port": 5000, "ipv4": "192.0.2.10"}
REMOTE = {"serviceName": "curl", "port": 51234, "ipv4": "198.51.100.7"}


class Readers(unittest.TestCase):
    """The same span in every format."""

    def expect(self, spans: list[Span], name: str = "index", tags: dict[str, str] = TAGS) -> None:
        """Exactly one span with the known values."""
        self.assertEqual(len(spans), 1)
        span = spans[0]
        self.assertEqual((span.trace_id, span.id, span.parent_id, span.kind), (TRACE, SPAN, None, "SERVER"))
        self.assertEqual((span.service, span.name, span.shared), ("ExternalProxy", name, False))
        self.assertEqual((span.timestamp, span.duration, span.tags), (START, DURATION, tags))

    def test_v1_thrift(self) -> None:
        """v1 thrift."""
        self.expect(read_v1_thrift(THRIFT))

    def test_v1_json(self) -> None:
        """v1 JSON."""
        notes = [(START, "sr"), (START + DURATION, "ss")]
        span = {"traceId": TRACE, "id": SPAN, "name": "index", "timestamp": START, "duration": DURATION}
        span["annotations"] = [{"timestamp": time, "value": value, "endpoint": LOCAL} for time, value in notes]
        tags = [{"key": key, "value": value, "endpoint": LOCAL} for key, value in TAGS.items()]
        span["binaryAnnotations"] = [*tags, {"key": "ca", "value": True, "endpoint": REMOTE}]
        self.expect(read_v1(json.dumps([span]).encode()))

    def test_v2_json(self) -> None:
        """v2 JSON."""
        span = {"traceId": TRACE, "id": SPAN, "name": "index", "kind": "SERVER", "timestamp": START, "tags": TAGS}
        span |= {"duration": DURATION, "localEndpoint": LOCAL, "remoteEndpoint": REMOTE}
        self.expect(read_v2(json.dumps([span]).encode()))

    def test_v2_proto(self) -> None:
        """v2 proto3."""
        self.expect(read_v2_proto(PROTO))

    def test_otlp(self) -> None:
        """OTLP protobuf."""
        tags = {"http.request.method": "GET", "url.path": "/", "url.scheme": "http", "http.response.status_code": "200"}
        self.expect(read_otlp(OTLP), name="GET", tags=tags)

    def test_every_cut_is_refused_or_read(self) -> None:
        """A body that ends early raises BadReport, nothing else."""
        for read, body in ((read_v1_thrift, THRIFT), (read_v2_proto, PROTO), (read_otlp, OTLP)):
            for size in range(len(body)):
                try:
                    read(body[:size])
                except BadReport:
                    pass

    def test_formats_are_not_confused(self) -> None:
        """v2 JSON on the v1 path is refused, as Zipkin does."""
        with self.assertRaises(BadReport):
            read_v1(json.dumps([{"traceId": TRACE, "id": SPAN, "localEndpoint": LOCAL}]).encode())
        with self.assertRaises(BadReport):
            read_v1_thrift(b"[]")


class Trees(unittest.TestCase):
    """Zipkin's rules for joining spans."""

    def test_a_shared_server_half_hangs_below_its_client(self) -> None:
        """One id seen from two sides, as older meshes report it."""
        client = Span("1", "a", None, "CLIENT", "edge", "get", 1, 9)
        server = Span("1", "a", None, "SERVER", "gateway", "get", 2, 7, shared=True)
        below = Span("1", "b", "a", "CLIENT", "gateway", "get", 3, 5)
        trace = assemble([below, server, client])
        self.assertEqual(trace.summary, "trace: 3 spans, 1 root, 0 orphans")
        self.assertIs(trace.roots[0].children[0].children[0].span, below)

    def test_a_span_without_its_parent_is_an_orphan(self) -> None:
        """A torn tree is counted, not hidden."""
        trace = assemble(
            [Span("1", "a", None, "SERVER", "edge", "get", 1, 9), Span("1", "c", "b", "SERVER", "x", "", 2, 1)]
        )
        self.assertEqual(trace.summary, "trace: 2 spans, 1 root, 1 orphan")
        self.assertFalse(trace.shows(("edge", "SERVER", ())))


if __name__ == "__main__":
    unittest.main()
