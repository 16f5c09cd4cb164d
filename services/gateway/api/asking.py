"""An authenticated call to the API, and how its body and its query are read."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from services.gateway.api.problems import Problem, errors_of, invalid, key_held
from services.gateway.api.route import ADAPTERS, NAMED, Media, Route
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.keys import Rate
from services.gateway.domain.reading import NotJson, is_deep, is_finite, read_json
from services.gateway.store import ApiKey, Broadcasts, Guides, Idempotency, KeyHeld, Keys, OtherRequest
from shared import ids
from shared.bus import Bus
from shared.queries import Query, ReplyT
from shared.service import Service
from shared.text import clean

if TYPE_CHECKING:
    from services.gateway.api.push import Pushing
    from shared.requesting import Templates

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Door:
    """Everything that answering the API needs."""

    bus: Bus
    keys: Keys
    idempotency: Idempotency
    templates: "Templates"
    guides: Guides
    broadcasts: Broadcasts
    bots: Mapping[str, DoorBot]
    service: Service
    now: Callable[[], datetime]
    rate: Rate | None = None
    """How often a key may be used; None for no limit."""
    origins: frozenset[str] = frozenset()
    """The web pages' origins that browsers may call the API from."""
    pushing: "Pushing | None" = None
    """Null where push is not set up."""
    senders: Collection[str] = ()
    """Whom a message may name as the sender of a letter, in lower case."""


@dataclass(frozen=True)
class Call:
    """A request whose key has been checked, and whose path and query have been read as its route says."""

    request: web.Request
    door: Door
    key: ApiKey
    route: Route
    named: Mapping[str, Any]
    """What the placeholders of the path stand for."""
    asked: BaseModel | None = None
    """The query, as the route's model."""
    said: str = ""
    """The digest of the body, where it is bound to an Idempotency-Key."""

    async def body(self) -> Any:
        """Return the JSON of the body."""
        return await json_of(self.request)

    async def read(self, model: type[ModelT]) -> ModelT:
        """Return the body as the route's model; what is wrong is named."""
        if self.route.body is not model:
            raise TypeError(f"the route declares another body than {model.__name__}")
        found = checked(model, await self.body())
        await self.bind()
        return found

    async def bind(self) -> None:
        """Bind the Idempotency-Key, if there is one, to this body; another one under it is refused."""
        if (scope := self.scope()) is None:
            return
        try:
            await self.door.idempotency.take(self.key.id, scope, bytes.fromhex(self.said))
        except OtherRequest:
            raise key_reused() from None
        except KeyHeld:
            raise key_held() from None

    def scope(self) -> str | None:
        """Return the Idempotency-Key with what it is for: a key is one caller's, for one route."""
        key = self.idempotency_key()
        return None if key is None else f"{self._target} {key}"

    @property
    def _target(self) -> str:
        method = "" if self.request.method == "POST" else f"{self.request.method} "
        return f"{method}{self.request.path}"

    def query(self, model: type[ModelT]) -> ModelT:
        """Return the query, which has been checked, as the route's model."""
        if not isinstance(self.asked, model):
            raise TypeError(f"the route declares another query than {model.__name__}")
        return self.asked

    def path_id(self, name: str) -> UUID:
        """Return the id that stands in the path."""
        value = self.named[name]
        if not isinstance(value, UUID):
            raise TypeError(f"{name} is no id")
        return value

    def idempotency_key(self) -> str | None:
        """Return the request's Idempotency-Key, if it has one."""
        key = self.request.headers.get("Idempotency-Key")
        if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
            raise invalid(
                [{"field": "Idempotency-Key", "message": "expected 1 to 255 visible ASCII characters"}]
            )
        return key

    def cause(self) -> UUID:
        """Return the id of a command: the same for the same Idempotency-Key and body."""
        key = self.idempotency_key()
        if key is None:
            return uuid4()
        return ids.derived("api command", self.key.id, self._target, key, self.said)

    async def ask(self, query: Query[ReplyT]) -> web.Response:
        """Ask a service and answer with its reply."""
        return answer(await self.door.bus.ask(query))


def key_reused() -> Problem:
    """Return the problem that an Idempotency-Key was used for something else."""
    return Problem(422, "Idempotency key reused", "this Idempotency-Key was used for another request")


async def said_in(request: web.Request, route: Route) -> str:
    """Return the digest of a body that an Idempotency-Key is bound to; files are bound line by line."""
    if route.is_read or "Idempotency-Key" not in request.headers or isinstance(route.body, Media):
        return ""
    return hashlib.sha256(await request.read()).hexdigest()


def named_in(request: web.Request, route: Route) -> dict[str, Any]:
    """Return what the placeholders of a path stand for; what does not look like it names nothing."""
    found = {}
    for name in route.placeholders:
        try:
            found[name] = ADAPTERS[name].validate_strings(request.match_info[name])
        except ValidationError:
            raise Problem(404, "Not found", f"there is no such {NAMED[name].noun}") from None
    return found


def asked_in(request: web.Request, route: Route) -> BaseModel | None:
    """Return the query string as the route's model; what is wrong, unknown or given twice is named."""
    given, known = request.query, route.query.model_fields if route.query is not None else {}
    wrong = [
        {"field": name, "message": "given twice" if name in known else "unknown parameter"}
        for name in dict.fromkeys(given)
        if name not in known or len(given.getall(name)) > 1
    ]
    if wrong:
        raise invalid(wrong)
    return None if route.query is None else checked(route.query, clean(dict(given)))


async def json_of(request: web.Request) -> Any:
    """Return the JSON of a request's body."""
    if request.content_type != "application/json":
        raise Problem(415, "Unsupported media type", "expected application/json")
    body = await request.read()
    try:
        value = read_json(body)
    except NotJson as error:
        raise Problem(400, "Bad request", str(error)) from None
    if is_deep(value, body):
        raise Problem(422, "Invalid request", "the body is nested too deeply")
    if not is_finite(value, body):
        raise Problem(422, "Invalid request", "a number in the body is too large")
    return value


def checked(model: type[ModelT], value: Any) -> ModelT:
    """Return a value as a model, or raise the problem that names what is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(errors_of(error)) from None


def answer(value: BaseModel | Mapping[str, Any], status: int = 200, **headers: str) -> web.Response:
    """Return a value as a JSON response."""
    body = value.model_dump_json().encode() if isinstance(value, BaseModel) else orjson.dumps(value)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
