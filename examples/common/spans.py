# SPDX-License-Identifier: Apache-2.0
"""One span, as every wire format is read into it."""

from __future__ import annotations

from dataclasses import dataclass, field


class BadReport(ValueError):
    """A report that cannot be decoded; the text says why and goes back as a 400."""


@dataclass(frozen=True)
class Span:
    """A finished span in Zipkin's v2 terms; ids are lower-case hex."""

    trace_id: str
    id: str
    parent_id: str | None
    kind: str
    """SERVER, CLIENT, PRODUCER, CONSUMER, or empty for a local span."""
    service: str
    name: str
    timestamp: int
    """Microseconds since 1970; 0 when the report had none."""
    duration: int
    """Microseconds; 0 when the report had none."""
    shared: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    encoding: str = ""
    """The format it arrived in, for the picture only."""


def trace_id_text(text: str) -> str:
    """Writes a trace id the way Zipkin shows it: 16 digits when the high half is zero or absent."""
    text = text.lower().rjust(16, "0")
    return text[16:] if len(text) == 32 and text.startswith("0" * 16) else text


def span_id_text(text: str | None) -> str | None:
    """Writes a span id as 16 digits; none when absent or zero."""
    padded = (text or "").lower().rjust(16, "0")
    return None if padded == "0" * 16 else padded
