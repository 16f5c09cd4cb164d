"""The control API: JSON over HTTP by which a person or a test plays the world around the bots.

Fields are documented on the request classes of the modules beside this one; `GET /` lists the routes. A body
may also be an HTML form. Errors are {"error": …} with 400 (what is wrong) or 404 (what is not there).

| route | does |
|---|---|
| POST /bots, GET /bots, POST /bots/{id}/revoke | bot accounts |
| POST /users | people |
| POST /chats, GET /chats, GET /chats/{id}, GET /chats/{id}/messages | chats and what is in them |
| POST /chats/{id}/flags | user_blocked, user_deactivated, never_started, kicked, not_member, restricted, … |
| POST /chats/{id}/migrate | a basic group becomes a supergroup |
| POST /press | a user presses a button; tells the answer |
| POST /send | a user writes a message or command, or edits one |
| POST /updates | any update, malformed too |
| GET /sent, GET /calls, GET /answers, GET /counters | what arrived, when, and what came of it |
| POST /faults, GET /faults, DELETE /faults | trouble on demand |
| POST /flood | the limits |
| POST /clock | time moves forward |
| POST /reset | a fresh start |
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import ValidationError

from devstack.telegram.cloud import Cloud
from devstack.telegram.control import acting, making, trouble, watching
from devstack.telegram.control.asking import Asked, Nothing, NotThere
from devstack.telegram.control.page import page

Act = Callable[[Cloud, Any, int], Awaitable[dict[str, Any]]]
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Route:
    """A request line, the fields it takes, and what it does; `{id}` in a path is a number."""

    method: str
    path: str
    asked: type[Asked]
    act: Act

    def number(self, method: str, path: str) -> int | None:
        """Return the number in the path (0 where the route has none), None where another route is meant."""
        before, placeholder, after = self.path.partition("{id}")
        if method != self.method or not path.startswith(before) or not path.endswith(after):
            return None
        middle = path[len(before) : len(path) - len(after)]
        if not placeholder:
            return 0 if path == self.path else None
        return int(middle) if middle.removeprefix("-").isdecimal() else None


ROUTES = (
    Route("POST", "/bots", making.MakeBot, making.make_bot),
    Route("GET", "/bots", Nothing, making.list_bots),
    Route("POST", "/bots/{id}/revoke", making.RevokeBot, making.revoke_bot),
    Route("POST", "/users", making.MakeUser, making.make_user),
    Route("POST", "/chats", making.MakeChat, making.make_chat),
    Route("GET", "/chats", Nothing, making.list_chats),
    Route("GET", "/chats/{id}", Nothing, making.show_chat),
    Route("GET", "/chats/{id}/messages", Nothing, making.list_messages),
    Route("POST", "/chats/{id}/flags", making.SetFlags, making.set_flags),
    Route("POST", "/chats/{id}/migrate", making.Migrate, making.migrate),
    Route("POST", "/press", acting.PressButton, acting.press),
    Route("POST", "/send", acting.Write, acting.write),
    Route("POST", "/updates", acting.HandOver, acting.hand_over),
    Route("GET", "/sent", watching.Since, watching.list_sent),
    Route("GET", "/calls", watching.CallsSince, watching.list_calls),
    Route("GET", "/answers", watching.Since, watching.list_answers),
    Route("GET", "/counters", Nothing, watching.show_counters),
    Route("POST", "/faults", trouble.MakeFault, trouble.make_fault),
    Route("GET", "/faults", Nothing, trouble.list_faults),
    Route("DELETE", "/faults", trouble.ClearFaults, trouble.clear_faults),
    Route("POST", "/flood", trouble.SetFlood, trouble.set_flood),
    Route("POST", "/clock", trouble.Advance, trouble.advance),
    Route("POST", "/reset", trouble.Reset, trouble.reset),
)


class Control:
    """Answers the control API's requests."""

    def __init__(self, cloud: Cloud, api_url: str) -> None:
        self._cloud = cloud
        self._api_url = api_url

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.path == "/" and request.method == "GET":
            return self._front_page(request)
        for route in ROUTES:
            number = route.number(request.method, request.path)
            if number is not None:
                return await self._acted(request, route, number)
        return _json({"error": "no such route: GET / lists them"}, 404)

    async def _acted(self, request: web.BaseRequest, route: Route, number: int) -> web.StreamResponse:
        is_form = request.content_type == _FORM
        try:
            asked = route.asked.model_validate(await _fields(request, is_form=is_form))
            result = await route.act(self._cloud, asked, number)
        except NotThere as missing:
            return _json({"error": str(missing)}, 404)
        except ValidationError as wrong:
            told = [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in wrong.errors()]
            return _json({"error": "; ".join(told)}, 400)
        except (ValueError, web.HTTPRequestEntityTooLarge) as wrong:
            return _json({"error": str(wrong)}, 400)
        if is_form:
            return web.Response(status=303, headers={"Location": "/"})
        return _json(result, 200)

    def _front_page(self, request: web.BaseRequest) -> web.Response:
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(text=page(self._cloud), content_type="text/html")
        routes = [
            {"method": each.method, "path": each.path, "does": (each.act.__doc__ or "").strip()}
            for each in ROUTES
        ]
        return _json({"api_url": self._api_url, "routes": routes}, 200)


async def _fields(request: web.BaseRequest, *, is_form: bool) -> object:
    body = await request.text()
    if is_form:
        return dict(parse_qsl(body))
    return json.loads(body) if body else dict(request.query)


def _json(value: object, status: int) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode(), content_type="application/json")
