"""The documents of the API, and a page to browse them; all of it comes from here, nothing from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Self

import orjson
from aiohttp import web
from openapi_ui_bundles import swagger_ui

from services.gateway.api.boundary import Handler
from services.gateway.api.openapi import document
from services.gateway.api.route import PREFIX, Route
from shared import asyncapi

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
DAY = "public, max-age=86400"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Carillon API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", deepLinking: true, docExpansion: "none",
  defaultModelsExpandDepth: 0, validatorUrl: null, tryItOutEnabled: true,
});
"""


@dataclass(frozen=True)
class Documents:
    """The API as an OpenAPI document, and what is said behind it as an AsyncAPI document."""

    openapi: bytes
    asyncapi: bytes

    @classmethod
    def of(cls, routes: Sequence[Route]) -> Self:
        """Make both; it takes most of a second."""
        return cls(
            orjson.dumps(document(routes, version("carillon"))),
            orjson.dumps(asyncapi.document(version("carillon"))),
        )


def add_documents(app: web.Application, documents: Documents) -> None:
    """Add the documents and their page, without a key: they hold nothing that is not public."""
    fixed = {
        "/openapi.json": (documents.openapi, "application/json", {}),
        "/asyncapi.json": (documents.asyncapi, "application/json", {}),
        "/docs": (PAGE.encode(), "text/html", {"Content-Security-Policy": CSP}),
        "/docs/start.js": (START.encode(), "text/javascript", {}),
    }
    for path, (body, content_type, headers) in fixed.items():
        app.router.add_get(PREFIX + path, _fixed(body, content_type, headers))
    for name, content_type in ASSETS.items():
        body = (swagger_ui.static_path / name).read_bytes()
        app.router.add_get(f"{PREFIX}/docs/{name}", _fixed(body, content_type, {"Cache-Control": DAY}))


def _fixed(body: bytes, content_type: str, headers: dict[str, str]) -> Handler:
    charset = "utf-8" if content_type.startswith("text/") else None

    async def fixed(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset=charset, headers=headers)

    return fixed
