# SPDX-License-Identifier: Apache-2.0
"""Bookinfo's productpage: the page people look at, and the two calls behind it."""

from __future__ import annotations

import hashlib
import hmac
import os
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from webapp import Address, Answer, Reply, Request, json_reply

TITLE = "The Comedy of Errors"
PRODUCT = {
    "id": 0,
    "title": TITLE,
    "descriptionHtml": '<a href="https://en.wikipedia.org/wiki/The_Comedy_of_Errors">Wikipedia</a>: an early and the '
    "shortest play of <b>William Shakespeare</b>, a farce of mistaken identity and word play.",
}
STYLE = (
    "body{font-family:sans-serif;margin:2em auto;max-width:60em} td{padding:.2em 1em .2em 0} "
    ".red{color:#c33} .black{color:#222} blockquote{border-left:3px solid #bbb;padding-left:1em}"
)
_KEY = os.urandom(32)


def productpage(details: Address, reviews: Address, ratings: Address) -> Answer:
    """Answers every path of the original."""

    def fetch(address: Address, path: str, request: Request, what: str, tries: int = 1) -> tuple[int, Any]:
        status = 500
        for _ in range(tries):
            try:
                status, document = address.call(path, outgoing(request), timeout=3.0)
            except (OSError, ValueError):
                continue
            if status == 200:
                return status, document
        return status, {"error": f"Sorry, product {what} are currently unavailable for this book."}

    def front(request: Request) -> Reply:
        user = session_user(request)
        _, found_details = fetch(details, "/details/0", request, "details")
        # Twice, three seconds each: the original's own retry, kept because the fault-injection exercises need it.
        _, found_reviews = fetch(reviews, "/reviews/0", request, "reviews", tries=2)
        return Reply(200, page(user, found_details, found_reviews).encode(), "text/html; charset=utf-8")

    def product(request: Request) -> Reply:
        number, _, part = request.path[len("/api/v1/products/") :].partition("/")
        if not (number.isascii() and number.isdigit()):
            return json_reply(404, {"error": "no such product"})
        if part == "":
            return json_reply(*fetch(details, f"/details/{number}", request, "details"))
        if part == "reviews":
            return json_reply(*fetch(reviews, f"/reviews/{number}", request, "reviews", tries=2))
        if part == "ratings":
            return json_reply(*fetch(ratings, f"/ratings/{number}", request, "ratings"))
        return json_reply(404, {"error": "no such page"})

    def answer(request: Request) -> Reply:
        match request.method, request.path:
            case "POST", "/login":
                user = parse_qs(request.body.decode("latin-1")).get("username", [""])[0]
                return _to_page(f"session={_seal(user)}; Path=/; HttpOnly")
            case "POST", _:
                return json_reply(405, {"error": "method not allowed"})
            case _, "/" | "/index.html":
                return Reply(200, _html("Bookinfo", '<a href="/productpage">Product page</a>').encode(), "text/html")
            case _, "/productpage":
                return front(request)
            case _, "/logout":
                return _to_page("session=; Path=/; Max-Age=0")
            case _, "/health":
                return Reply(200, b"Product page is healthy", "text/html")
            case _, "/metrics":
                return Reply(200, b"# TYPE bookinfo_up gauge\nbookinfo_up 1\n", "text/plain; version=0.0.4")
            case _, "/static/bookinfo.css":
                return Reply(200, STYLE.encode(), "text/css")
            case _, "/api/v1/products":
                return json_reply(200, [PRODUCT])
            case _, path if path.startswith("/api/v1/products/"):
                return product(request)
        return json_reply(404, {"error": "no such page"})

    return answer


def outgoing(request: Request) -> dict[str, str]:
    """The fields of productpage's own calls.

    The original runs B3 through OpenTelemetry: it reads `b3` or `x-b3-*`, writes `x-b3-*` with a 32-digit trace id,
    drops parent and flags, and turns "undecided" into "no". The decision must therefore be made before it, at the edge.
    """
    fields = {name: value for name, value in request.forwarded().items() if not name.startswith("x-b3-")}
    single = (request.fields.get("b3") or "").split("-")
    if len(single) >= 3:
        trace_id, span_id, state = single[0], single[1], single[2]
    else:
        trace_id, span_id = request.fields.get("x-b3-traceid") or "", request.fields.get("x-b3-spanid") or ""
        debug = request.fields.get("x-b3-flags") == "1"
        state = "d" if debug else (request.fields.get("x-b3-sampled") or "")
    if trace_id and span_id:
        fields["x-b3-traceid"] = trace_id.rjust(32, "0")
        fields["x-b3-spanid"] = span_id
        fields["x-b3-sampled"] = "1" if state in ("1", "d", "true") else "0"
    user = session_user(request)
    if user:
        fields["end-user"] = user
    return fields


def session_user(request: Request) -> str:
    """Who is logged in, by the signed cookie; empty for nobody."""
    try:
        morsel = SimpleCookie(request.fields.get("cookie") or "").get("session")
        user = bytes.fromhex(morsel.value.partition(".")[0]).decode("ascii") if morsel else ""
    except (CookieError, ValueError):
        return ""
    return user if morsel is not None and hmac.compare_digest(morsel.value, _seal(user)) else ""


def page(user: str, details: dict[str, Any], reviews: dict[str, Any]) -> str:
    """The product page."""
    who = (
        f'<b>{escape(user)}</b> (<a href="/logout">sign out</a>)'
        if user
        else '<form method="post" action="/login"><input name="username" placeholder="user name">'
        "<button>Sign in</button></form>"
    )
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in details.items()
        if name != "id"
    )
    quotes = "".join(_quote(review) for review in reviews.get("reviews", [])) or f"<p>{escape(reviews['error'])}</p>"
    return _html(
        "Simple Bookstore App",
        f"<header>{who}</header><h1>{TITLE}</h1><p>{PRODUCT['descriptionHtml']}</p>"
        f"<h2>Book Details</h2><table>{rows}</table><h2>Book Reviews</h2>{quotes}"
        f"<p><small>Reviews served by: {escape(str(reviews.get('podname', '-')))}</small></p>",
    )


def _quote(review: dict[str, Any]) -> str:
    rating = review.get("rating") or {}
    if "stars" in rating:
        count = max(0, min(5, int(rating["stars"])))
        stars = f'<p class="{escape(rating["color"])}">{"★" * count}{"☆" * (5 - count)}</p>'
    else:
        stars = f"<p><i>{escape(rating['error'])}</i></p>" if "error" in rating else ""
    return f"<blockquote><p>{escape(review['text'])}</p><small>{escape(review['reviewer'])}</small>{stars}</blockquote>"


def _html(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<link rel="stylesheet" href="/static/bookinfo.css"></head><body>{body}</body></html>\n'
    )


def _to_page(cookie: str) -> Reply:
    return Reply(302, b"", "text/html", {"Location": "/productpage", "Set-Cookie": cookie})


def _seal(user: str) -> str:
    name = user.encode("ascii", "replace").hex()
    return f"{name}.{hmac.new(_KEY, name.encode(), hashlib.sha256).hexdigest()}"
