"""The HTTP server: routes, their roles, and an ordered start and stop."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache

from aiohttp import web

from services.gateway.api.access import admitted
from services.gateway.api.asking import Call, Door, answer, asked_in, named_in, said_in
from services.gateway.api.boundary import boundary
from services.gateway.api.browsing import Documents, add_documents
from services.gateway.api.front import IDLE_SECONDS, Front
from services.gateway.api.headers import add_options, finishing
from services.gateway.api.leaving import Leaving
from services.gateway.api.push import add_pages
from services.gateway.api.redirects import Redirects
from services.gateway.api.route import PREFIX, Route
from services.gateway.api.routes import ROUTES
from services.gateway.api.webhook import ROUTE as WEBHOOK
from services.gateway.api.webhook import Webhook
from shared import telemetry
from shared.service import Service
from shared.settings import host_and_port

MIB = 1024 * 1024
HEADROOM = 16 * 1024
"""What an event needs of the broker's payload beside the body that it was made of."""
STOP_SECONDS = 25.0

log = telemetry.logger(__name__)


class CannotListen(RuntimeError):
    """The address of LISTEN cannot be had."""


def body_limit(max_payload: int) -> int:
    """Return how many bytes a body may have, for a broker that takes messages of `max_payload` bytes."""
    return min(MIB, max_payload - HEADROOM)


def application(door: Door, webhook: Webhook, redirects: Redirects, leaving: Leaving) -> web.Application:
    """Return the application with every route."""
    limit = body_limit(door.bus.max_payload)
    app = web.Application(middlewares=[boundary], client_max_size=limit)
    app.router.add_post(WEBHOOK, webhook.receive)
    app.router.add_get("/r/{token}", redirects.follow)
    app.router.add_get("/u/{token}", leaving.ask)
    app.router.add_post("/u/{token}", leaving.leave)
    app.on_response_prepare.append(finishing(door.origins))
    for route in ROUTES:
        guarded = _guarded(door, route)
        app.router.add_route(route.method, PREFIX + route.path, guarded)
        if route.method == "GET":
            app.router.add_route("HEAD", PREFIX + route.path, guarded)
    add_options(app, ROUTES, door.origins)
    add_documents(app, _documents())
    if door.pushing is not None:
        add_pages(app, door.pushing, door.bus, door.now)
    _add_operators_doors(app, door.service)
    return app


@cache
def _documents() -> Documents:
    """Return the documents of the API, which are the same however often it is put together."""
    return Documents.of(ROUTES)


@asynccontextmanager
async def serve(
    app: web.Application, webhook: Webhook, listen: str, *, largest: int, shared: bool = False
) -> AsyncIterator[str]:
    """Listen and yield the address; leaving stops listening, then finishes the requests that run.

    Plain requests to the webhook, of bodies up to `largest`, pass the application by. A `shared` address may
    be listened on by several processes, each of which says that it shares it.
    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=STOP_SECONDS, keepalive_timeout=IDLE_SECONDS
    )
    await runner.setup()
    host, port = host_and_port(listen)
    behind = runner.server
    assert behind is not None  # noqa: S101 - the runner is set up
    front = Front(behind, webhook, largest)
    try:
        try:
            server = await asyncio.get_running_loop().create_server(
                front, host, port, backlog=1024, reuse_port=shared or None
            )
        except OSError as error:
            print(f"carillon: LISTEN is '{listen}'; {error.strerror}", file=sys.stderr)  # noqa: T201 - for people
            raise CannotListen(listen) from None
        bound = server.sockets[0].getsockname()
        address = f"http://{bound[0]}:{bound[1]}"
        log.info("listening", address=address)
        try:
            yield address
        finally:
            server.close()
    finally:
        await asyncio.gather(front.close(STOP_SECONDS), runner.cleanup())


def _guarded(door: Door, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def guarded(request: web.Request) -> web.StreamResponse:
        key = await admitted(request, door.keys, route.role, door.rate)
        named, asked = named_in(request, route), asked_in(request, route)
        call = Call(request, door, key, route, named, asked, await said_in(request, route))
        if not route.is_read:
            call.idempotency_key()  # a malformed one is refused, whether or not it would make a difference
        return await route.handle(call)

    return guarded


def _add_operators_doors(app: web.Application, service: Service) -> None:
    async def healthz(_: web.Request) -> web.Response:
        status, body = service.health()
        return answer(body, status)

    async def readyz(_: web.Request) -> web.Response:
        status, body = await service.readiness()
        return answer(body, status)

    async def metrics(_: web.Request) -> web.Response:
        body, content_type = service.metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
