"""The document of the API, and the page that shows it."""

import dataclasses
from typing import Any

import pytest

from services.gateway.api.openapi import document, summary_of
from services.gateway.api.route import NAMED, Media, Route
from services.gateway.api.routes import ROUTES


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_described(route: Route) -> None:
    """A route tells what it does, what it takes and what it answers, or it is not one."""
    summary, _ = summary_of(route)
    assert 10 <= len(summary) <= 110, "the docstring of the handler is its summary"
    assert route.answers, "a route says what it answers"
    assert all(200 <= status < 400 for status in route.answers), "what it refuses stands in `refuses`"
    assert all(status >= 400 for status in route.refuses)
    assert set(route.placeholders) <= set(NAMED), "every placeholder stands in NAMED"
    assert route.query is None or route.method == "GET"
    assert route.body is None or route.method != "GET"


def test_what_answers_is_named_once() -> None:
    """Handlers' names are the names of operations, so no two are alike; nor are two routes."""
    names = [route.handle.__name__ for route in ROUTES]
    assert len(set(names)) == len(names)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_a_query_is_told_as_parameters() -> None:
    """Every field of a query's model is a parameter, and what may be left out is not null but absent."""
    operation = document(ROUTES, "1")["paths"]["/api/v1/clicks"]["get"]
    told = {each["name"]: each for each in operation["parameters"]}
    assert list(told) == ["user_id", "promo_id", "since", "until", "cursor", "limit"]
    assert told["user_id"] == {
        "name": "user_id",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "format": "uuid"},
    }
    assert told["limit"]["schema"]["maximum"] == 500


def test_what_is_not_json_is_told() -> None:
    """Bodies and answers of other content types are told by their types."""
    route = next(route for route in ROUTES if route.body is not None)
    other = dataclasses.replace(route, body=Media("text/csv"), answers={200: Media("image/svg+xml")})
    operation = document([other], "1")["paths"]["/api/v1" + route.path][route.method.lower()]
    assert list(operation["requestBody"]["content"]) == ["text/csv"]
    assert list(operation["responses"]["200"]["content"]) == ["image/svg+xml"]


async def test_documents_are_served(gateway: Any) -> None:
    """Document and page are there without a key; neither refers to what is not there, or to another host."""
    async with gateway.http.get(f"{gateway.url}/api/v1/openapi.json") as response:
        assert (response.status, response.content_type) == (200, "application/json")
        found, text = await response.json(), await response.text()
    assert found["openapi"].startswith("3.1.")
    assert set(found["paths"]) == {f"/api/v1{route.path}" for route in ROUTES}
    for part in text.split('"$ref":"#/')[1:]:
        place = found
        for step in part.split('"')[0].split("/"):
            place = place[step]
    async with gateway.http.get(f"{gateway.url}/api/v1/asyncapi.json") as response:
        assert (await response.json())["asyncapi"] == "3.0.0"
    async with gateway.http.get(f"{gateway.url}/api/v1/docs") as response:
        page, policy = await response.text(), response.headers["Content-Security-Policy"]
        assert (response.status, response.content_type) == (200, "text/html")
    assert "//" not in page
    assert "script-src 'self';" in policy
    assert "connect-src 'self';" in policy
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert f"docs/{asset}" in page
        async with gateway.http.get(f"{gateway.url}/api/v1/docs/{asset}") as response:
            assert response.status == 200, asset
    # HEAD is answered wherever GET is, by the same roles, without a body.
    async with gateway.http.head(f"{gateway.url}/api/v1/promos") as response:
        assert (response.status, await response.read()) == (401, b"")
