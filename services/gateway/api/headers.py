"""The headers of every answer, and what browsers are told before they ask."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import orjson
from aiohttp import web

from services.gateway.api.boundary import problem_of_http
from services.gateway.api.problems import CONTENT_TYPE
from services.gateway.api.route import PREFIX, Route

HEADERS = {
    "Server": "carillon",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
SENT = "Authorization, Content-Type, Idempotency-Key"
READ = "Retry-After, Idempotency-Replayed, WWW-Authenticate"
PREFLIGHT_SECONDS = "600"

_ALWAYS = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())

Finish = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def finishing(origins: frozenset[str]) -> Finish:
    """Return what finishes every response before its head is written; pages of `origins` may read it."""

    async def finish(request: web.Request, response: web.StreamResponse) -> None:
        if isinstance(response, web.HTTPException):
            # Raised by the server itself, before the boundary: what a client expects, for instance.
            body = orjson.dumps(problem_of_http(response).document())
            response.body, response.content_type = body, CONTENT_TYPE
            response.headers["Content-Length"] = str(len(body))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = HEADERS["Server"]
        if origins and request.path.startswith(PREFIX):
            response.headers.add("Vary", "Origin")
            if (origin := request.headers.get("Origin")) in origins and origin is not None:
                response.headers["Access-Control-Allow-Origin"] = origin
                response.headers["Access-Control-Expose-Headers"] = READ

    return finish


def whole(status: int, body: bytes, content_type: str = "", more: Mapping[str, str] | None = None) -> bytes:
    """Return a whole answer as it is sent, with the headers of every answer."""
    head = _head(status, content_type, int(time.time()))
    told = "".join(f"{name}: {value}\r\n" for name, value in more.items()).encode() if more else b""
    return b"%bContent-Length: %d\r\n%b\r\n%b" % (head, len(body), told, body)


@lru_cache(maxsize=8)
def _head(status: int, content_type: str, now: int) -> bytes:
    typed = f"Content-Type: {content_type}\r\n" if content_type else ""
    date = formatdate(now, usegmt=True)
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{_ALWAYS}Date: {date}\r\n{typed}".encode()


def add_options(app: web.Application, routes: Iterable[Route], origins: frozenset[str]) -> None:
    """Answer OPTIONS on every path: which methods there are, and whether a page may use them."""
    methods: dict[str, set[str]] = defaultdict(lambda: {"OPTIONS"})
    for route in routes:
        methods[route.path] |= {route.method, "HEAD"} if route.method == "GET" else {route.method}
    for path, allowed in methods.items():
        app.router.add_route("OPTIONS", PREFIX + path, _told(", ".join(sorted(allowed)), origins))


def _told(allowed: str, origins: frozenset[str]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def told(request: web.Request) -> web.Response:
        headers = {"Allow": allowed}
        if request.headers.get("Origin") in origins and "Access-Control-Request-Method" in request.headers:
            headers["Access-Control-Allow-Methods"] = allowed
            headers["Access-Control-Allow-Headers"] = SENT
            headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
        return web.Response(status=204, headers=headers)

    return told
