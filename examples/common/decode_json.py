# SPDX-License-Identifier: Apache-2.0
"""Reads Zipkin's two JSON formats."""

from __future__ import annotations

import json
from typing import Any

from spans import BadReport, Span, span_id_text, trace_id_text


def read_v2(body: bytes) -> list[Span]:
    """Reads a v2 array, as Envoy posts it and as Zipkin's own API answers."""
    return [_v2_span(entry) for entry in _array(body)]


def read_v1(body: bytes) -> list[Span]:
    """Reads a v1 array: the kind comes from the annotations."""
    return [_v1_span(entry) for entry in _array(body)]


def _array(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise BadReport(f"not JSON: {error}") from error
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise BadReport("not an array of spans")
    return document


def _ids(entry: dict[str, Any]) -> tuple[str, str, str | None]:
    span_id = span_id_text(entry.get("id"))
    if not entry.get("traceId") or span_id is None:
        raise BadReport("a span without traceId or id")
    return trace_id_text(entry["traceId"]), span_id, span_id_text(entry.get("parentId"))


def _v2_span(entry: dict[str, Any]) -> Span:
    if "annotations" in entry and any("endpoint" in note for note in entry["annotations"]):
        raise BadReport("a v1 span where v2 was announced")
    trace_id, span_id, parent_id = _ids(entry)
    return Span(
        trace_id=trace_id,
        id=span_id,
        parent_id=parent_id,
        kind=entry.get("kind", ""),
        service=(entry.get("localEndpoint") or {}).get("serviceName", ""),
        name=entry.get("name", ""),
        timestamp=int(entry.get("timestamp", 0)),
        duration=int(entry.get("duration", 0)),
        shared=bool(entry.get("shared", False)),
        tags=dict(entry.get("tags", {})),
        encoding="v2-json",
    )


def _v1_span(entry: dict[str, Any]) -> Span:
    if "localEndpoint" in entry:
        raise BadReport("a v2 span where v1 was announced")
    trace_id, span_id, parent_id = _ids(entry)
    return v1_span(
        trace_id,
        span_id,
        parent_id,
        name=entry.get("name", ""),
        timestamp=int(entry.get("timestamp", 0)),
        duration=int(entry.get("duration", 0)),
        notes=[
            (int(note["timestamp"]), note["value"], (note.get("endpoint") or {}).get("serviceName", ""))
            for note in entry.get("annotations", [])
        ],
        tags=[
            (note["key"], note["value"], (note.get("endpoint") or {}).get("serviceName", ""))
            for note in entry.get("binaryAnnotations", [])
        ],
        encoding="v1-json",
    )


def v1_span(
    trace_id: str,
    span_id: str,
    parent_id: str | None,
    *,
    name: str,
    timestamp: int,
    duration: int,
    notes: list[tuple[int, str, str]],
    tags: list[tuple[str, Any, str]],
    encoding: str,
) -> Span:
    """Maps the v1 model to ours: cs/cr is CLIENT, sr/ss is SERVER, a server half without a start is shared.

    `notes` are (microseconds, value, service name), `tags` are (key, value, service name); a tag whose value is not
    text is an address (`ca`, `sa`), not a tag.
    """
    values = {value for _, value, _ in notes}
    kind = "CLIENT" if values & {"cs", "cr"} else "SERVER" if values & {"sr", "ss"} else ""
    services = [service for _, _, service in notes] + [service for key, _, service in tags if key not in ("ca", "sa")]
    times = [time for time, _, _ in notes]
    return Span(
        trace_id=trace_id,
        id=span_id,
        parent_id=parent_id,
        kind=kind,
        service=services[0] if services else "",
        name=name,
        timestamp=timestamp or min(times, default=0),
        duration=duration or max(times, default=0) - min(times, default=0),
        shared=kind == "SERVER" and timestamp == 0,
        tags={key: value for key, value, _ in tags if isinstance(value, str)},
        encoding=encoding,
    )
