# SPDX-License-Identifier: Apache-2.0
"""Assembles the spans of one trace into a tree, draws it, and compares it with the picture an example expects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable

from spans import Span

Shape = tuple[str, str, tuple["Shape", ...]]
"""(service, kind, children), children sorted: what must be equal for two trees to be the same picture."""


@dataclass
class Node:
    """A span with the spans it caused."""

    span: Span
    children: list[Node] = field(default_factory=list)

    @property
    def shape(self) -> Shape:
        """The picture below this node, without times and ids."""
        return (self.span.service.lower(), self.span.kind, tuple(sorted(child.shape for child in self.children)))


@dataclass
class Trace:
    """One trace. An orphan is a span whose parent nobody reported; it is drawn beside the root."""

    trace_id: str
    spans: list[Span]
    roots: list[Node]
    orphans: list[Node]

    @property
    def summary(self) -> str:
        """The sentence that decides."""
        roots, orphans = len(self.roots), len(self.orphans)
        return (
            f"trace: {_count(len(self.spans), 'span')}, {_count(roots, 'root')}, "
            f"{orphans} {'orphan' if orphans == 1 else 'orphans'}"
        )

    def shows(self, picture: Shape) -> bool:
        """Whether this is exactly that picture."""
        return not self.orphans and [root.shape for root in self.roots] == [picture]

    def lines(self) -> list[str]:
        """The drawing, one span a line."""
        drawn: list[str] = []
        for node in self.roots:
            drawn += _lines(node, "", "")
        for node in self.orphans:
            drawn += _lines(node, f"orphan (parent {node.span.parent_id}): ", "")
        return drawn

    def document(self, picture: Shape) -> dict[str, Any]:
        """The same for a program to read."""
        return {
            "traceId": self.trace_id,
            "spans": len(self.spans),
            "roots": [_document(node) for node in self.roots],
            "orphans": [_document(node) for node in self.orphans],
            "summary": self.summary,
            "expected": self.shows(picture),
        }


def assemble(spans: Iterable[Span]) -> Trace:
    """Builds the tree of one trace by Zipkin's rules: a shared server half hangs below its client half."""
    # A report that was sent again is the same span, not a second one.
    unique = {(span.id, span.shared, span.service.lower()): span for span in spans}
    ordered = sorted(unique.values(), key=lambda span: (span.timestamp, span.kind == "CLIENT"))
    nodes = [Node(span) for span in ordered]
    owners = {node.span.id: node for node in nodes if not node.span.shared}
    shared = {node.span.id: node for node in nodes if node.span.shared}
    trace = Trace(ordered[0].trace_id if ordered else "", ordered, [], [])
    for node in nodes:
        parent = _parent(node, owners, shared)
        if parent is not None:
            parent.children.append(node)
        elif node.span.parent_id is None:
            trace.roots.append(node)
        else:
            trace.orphans.append(node)
    return trace


def _parent(node: Node, owners: dict[str, Node], shared: dict[str, Node]) -> Node | None:
    span = node.span
    if span.shared and span.id in owners:
        return owners[span.id]
    if span.parent_id is None:
        return None
    half = shared.get(span.parent_id)
    if half is not None and (half.span.service == span.service or span.parent_id not in owners):
        return half
    return owners.get(span.parent_id)


def calls(trace: Trace) -> str:
    """Who called whom, as a service map shows it: `a > b > c`, chains that branch one after the other."""
    found: list[tuple[str, str]] = []

    def collect(node: Node) -> None:
        for child in node.children:
            pair = (node.span.service, child.span.service)
            if pair[0] != pair[1] and pair not in found:
                found.append(pair)
            collect(child)

    for node in [*trace.roots, *trace.orphans]:
        collect(node)
    chains: list[list[str]] = []
    for caller, callee in found:
        if chains and chains[-1][-1] == caller:
            chains[-1].append(callee)
        else:
            chains.append([caller, callee])
    return ", ".join(" > ".join(chain) for chain in chains)


def _lines(node: Node, lead: str, below: str) -> list[str]:
    span = node.span
    time = f"{span.duration / 1000:.1f} ms"
    status = span.tags.get("http.status_code") or span.tags.get("http.response.status_code") or "-"
    # A failed gRPC call has the status 200; its own status follows where one is told.
    grpc_status = span.tags.get("grpc.status_code") or span.tags.get("rpc.status_code") or ""
    status += f"/{grpc_status}" if grpc_status else ""
    label = f"{lead}{span.service} {span.kind}"
    name = span.name if len(span.name) <= 40 else f"{span.name[:39]}…"
    drawn = [f"{label:<62} {status:>5} {time:>9}  {span.encoding:<9}  {name}".rstrip()]
    for index, child in enumerate(node.children):
        last = index == len(node.children) - 1
        drawn += _lines(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))
    return drawn


def _document(node: Node) -> dict[str, Any]:
    span = node.span
    return {
        "service": span.service,
        "kind": span.kind,
        "name": span.name,
        "id": span.id,
        "parentId": span.parent_id,
        "timestamp": span.timestamp,
        "duration": span.duration,
        "encoding": span.encoding,
        "tags": span.tags,
        "children": [_document(child) for child in node.children],
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def hop(client: str, server: str, *children: Shape) -> Shape:
    """A call as two spans: the caller's CLIENT and below it the callee's SERVER."""
    return (client, "CLIENT", ((server, "SERVER", tuple(sorted(children))),))
