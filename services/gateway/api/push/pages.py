"""The page and the worker of push, from the package; what differs from system to system is `setup.js`."""

from collections.abc import Callable
from datetime import datetime
from importlib.resources import files

import orjson
from aiohttp import web

from services.gateway.api.boundary import Handler
from services.gateway.api.push.subscribing import Pushing, subscribe, unsubscribe
from shared.bus import Bus

CSP = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
ASSETS = {
    "/push": "page.html",
    "/push/page.js": "page.js",
    "/push/page.css": "page.css",
    "/push/shared.js": "shared.js",
    "/push/worker.js": "worker.js",
    # Where templates say that they are.
    "/icon-192x192.png": "icon-192x192.png",
    "/badge-96x96.png": "badge-96x96.png",
}


def add_pages(app: web.Application, pushing: Pushing, bus: Bus, now: Callable[[], datetime]) -> None:
    """Add the page, its parts, and the door through which a browser's subscription comes."""
    folder = files(__package__) / "assets"
    for path, name in ASSETS.items():
        content_type = TYPES[name[name.rindex(".") :]]
        app.router.add_get(path, _asset((folder / name).read_bytes(), content_type))
    setup = {"key": pushing.key, "dashboard": pushing.dashboard_url.rstrip("/") + "/"}
    app.router.add_get(
        "/push/setup.js", _asset(b"self.SETUP = " + orjson.dumps(setup) + b";\n", TYPES[".js"])
    )

    async def take(request: web.Request) -> web.Response:
        return await subscribe(request, pushing, bus, now())

    async def give_up(request: web.Request) -> web.Response:
        return await unsubscribe(request, pushing, bus, now())

    app.router.add_post("/push/subscriptions", take)
    app.router.add_delete("/push/subscriptions", give_up)


def _asset(body: bytes, content_type: str) -> Handler:
    charset = "utf-8" if content_type.startswith("text/") else None
    # A page that is cached would go on with yesterday's key.
    headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-cache"}
    if content_type == TYPES[".js"]:
        headers["Service-Worker-Allowed"] = "../push"

    async def asset(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset=charset, headers=headers)

    return asset
