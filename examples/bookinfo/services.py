# SPDX-License-Identifier: Apache-2.0
"""Bookinfo's details, reviews and ratings: the paths, calls and documents of the originals, in a few lines each."""

from __future__ import annotations

import json
import socket

from webapp import Address, Answer, Reply, Request, json_reply

STAR_COLORS = {"v2": "black", "v3": "red"}
REVIEWERS = {
    "Reviewer1": "Two pairs of twins, one city, no end of mistaken identity. I laughed out loud.",
    "Reviewer2": "Short and fast, but the plot hangs on nobody asking the obvious question.",
}


def details() -> Answer:
    """Details: GET /details/{n}."""

    def answer(request: Request) -> Reply:
        if request.path == "/health":
            return json_reply(200, {"status": "Details is healthy"})
        number = _number(request.path, "/details/")
        if number is None:
            return json_reply(400, {"error": "please provide numeric product id"})
        return json_reply(
            200,
            {
                "id": number,
                "author": "William Shakespeare",
                "year": 1595,
                "type": "paperback",
                "pages": 200,
                "publisher": "PublisherA",
                "language": "English",
                "ISBN-10": "1234567890",
                "ISBN-13": "123-1234567890",
            },
        )

    return answer


def ratings() -> Answer:
    """Ratings: GET and POST /ratings/{n}, kept in memory."""
    stored: dict[int, dict[str, int]] = {}

    def answer(request: Request) -> Reply:
        if request.path == "/health":
            return json_reply(200, {"status": "Ratings is healthy"})
        number = _number(request.path, "/ratings/")
        if number is None:
            return json_reply(400, {"error": "please provide numeric product ID"})
        if request.method == "POST":
            try:
                stored[number] = {str(name): int(stars) for name, stars in json.loads(request.body).items()}
            except (ValueError, AttributeError, TypeError):
                return json_reply(400, {"error": "please provide valid ratings JSON"})
        return json_reply(200, {"id": number, "ratings": stored.get(number, {"Reviewer1": 5, "Reviewer2": 4})})

    return answer


def reviews(version: str, ratings_address: Address) -> Answer:
    """Reviews: GET /reviews/{n}; v1 shows no stars, v2 asks ratings for black ones, v3 for red ones."""

    def stars(number: int, request: Request) -> dict[str, dict[str, object]]:
        if version not in STAR_COLORS:
            return {}
        try:
            status, document = ratings_address.call(f"/ratings/{number}", request.forwarded(), timeout=10.0)
            found = document["ratings"] if status == 200 else {}
        except (OSError, ValueError, KeyError):
            found = {}
        unavailable: dict[str, object] = {"error": "Ratings service is currently unavailable"}
        return {
            name: {"rating": {"stars": found[name], "color": STAR_COLORS[version]} if name in found else unavailable}
            for name in REVIEWERS
        }

    def answer(request: Request) -> Reply:
        if request.path == "/health":
            return json_reply(200, {"status": "Reviews is healthy"})
        number = _number(request.path, "/reviews/")
        if number is None:
            return json_reply(404, {"error": "no such page"})
        rated = stars(number, request)
        return json_reply(
            200,
            {
                "id": str(number),
                "podname": f"reviews-{version}-{socket.gethostname()}",
                "clustername": "null",
                "reviews": [
                    {"reviewer": name, "text": text, **rated.get(name, {})} for name, text in REVIEWERS.items()
                ],
            },
        )

    return answer


def _number(path: str, prefix: str) -> int | None:
    rest = path[len(prefix) :] if path.startswith(prefix) else ""
    return int(rest) if rest.isascii() and rest.isdigit() else None
