"""The HTTP side of a simulator: served on a port of its own, listed at `/`, errors as `{"error": …}`."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
M = TypeVar("M", bound=BaseModel)


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve an application while the context lasts; yields its origin, `http://host:port`."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def control_app(name: str, routes: Iterable[web.RouteDef]) -> web.Application:
    """Return the control application of a simulator: its routes, and a list of them at `/`."""
    app = web.Application(middlewares=[_errors_as_json])
    app.add_routes(routes)
    listing = {
        "simulator": name,
        "controls": [
            {"method": route.method, "path": route.path, "does": (route.handler.__doc__ or "").strip()}
            for route in routes
        ],
    }

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(listing)

    app.router.add_get("/", show)
    return app


async def read(request: web.Request, model: type[M]) -> M:
    """Return the request's JSON body as `model`, an empty body as its defaults; answers 400 otherwise."""
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
        raise bad_request("; ".join(faults)) from error


def bad_request(why: str) -> web.HTTPBadRequest:
    """Return a 400 that says what is wrong."""
    return web.HTTPBadRequest(text=json.dumps({"error": why}), content_type="application/json")


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.content_type == "application/json" or error.status < 400:
            raise
        return web.json_response({"error": error.reason}, status=error.status)
