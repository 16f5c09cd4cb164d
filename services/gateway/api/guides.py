"""Guides over the API: read, made, edited and disabled."""

from dataclasses import replace
from typing import Annotated, Self

from aiohttp import web
from pydantic import Field, model_validator

from services.gateway.api.asking import Call, answer
from services.gateway.api.problems import Problem, invalid
from services.gateway.api.repeating import once
from services.gateway.api.requests import Strict
from services.gateway.api.route import Route
from services.gateway.domain.guides import Category, Difficulty, Guide, check_guide
from services.gateway.domain.roles import KeyRole
from services.gateway.store import GuideNumbers
from shared.events import Value
from shared.markdown import Refused

GuideId = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
Title = Annotated[str, Field(min_length=1, max_length=128)]
Source = Annotated[str, Field(min_length=1, max_length=8192)]
Position = Annotated[int, Field(ge=0, le=1_000_000)]


class GuideIn(Strict):
    """A new guide; `text` is MarkdownV2 source, which Telegram has to take together with the title."""

    id: GuideId
    category: Category
    difficulty: Difficulty
    title: Title
    text: Source
    position: Position = 0
    enabled: bool = True


class GuideChangeIn(Strict):
    """What is to change of a guide; what is left out stays."""

    category: Category | None = None
    difficulty: Difficulty | None = None
    title: Title | None = None
    text: Source | None = None
    position: Position | None = None
    enabled: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(value is None for _, value in self):
            raise ValueError("expected something to change")
        return self


class GuideView(Value):
    """A guide, how often it was opened, and by how many people it was saved and read."""

    id: str
    category: Category
    difficulty: Difficulty
    title: str
    text: str
    position: int
    enabled: bool
    views: int
    saves: int
    readers: int


class GuideList(Value):
    """Guides in their order."""

    items: tuple[GuideView, ...]


class GuidesAsked(Strict):
    """Which guides are asked for; disabled ones are left out unless they are asked for."""

    category: Category | None = None
    disabled: bool = False


async def list_guides(call: Call) -> web.Response:
    """Answer with the guides in their order, of one category or of all."""
    asked = call.query(GuidesAsked)
    guides = call.door.guides
    found = await guides.all(asked.category, disabled_too=asked.disabled)
    numbers = await guides.all_numbers()
    return answer(GuideList(items=tuple(_view(each, numbers.get(each.id)) for each in found)))


async def get_guide(call: Call) -> web.Response:
    """Answer with a guide."""
    return answer(await _viewed(call, await _found(call)))


async def create_guide(call: Call) -> web.Response:
    """Make a guide; the same again is the same guide, another one of its id is refused."""
    given = await call.read(GuideIn)
    guide = Guide(**given.model_dump())
    _check(guide)
    made = await call.door.guides.create(guide) or await call.door.guides.find(guide.id)
    if made != guide:
        raise Problem(409, "Conflict", "there is another guide of that id")
    return answer(await _viewed(call, made), 201)


async def change_guide(call: Call) -> web.Response:
    """Edit a guide, disable it, or enable it again."""
    given = await call.read(GuideChangeIn)
    changes = {name: value for name, value in given if value is not None}
    guide = replace(await _found(call), **changes)
    _check(guide)
    changed = await call.door.guides.change(guide)
    if changed is None:
        raise _unknown()
    return answer(await _viewed(call, changed))


def _check(guide: Guide) -> None:
    try:
        check_guide(guide)
    except Refused as refused:
        raise invalid([{"field": "text", "message": problem} for problem in refused.problems]) from None


async def _found(call: Call) -> Guide:
    found = await call.door.guides.find(str(call.named["guide_id"]))
    if found is None:
        raise _unknown()
    return found


def _unknown() -> Problem:
    return Problem(404, "Not found", "there is no such guide")


async def _viewed(call: Call, guide: Guide) -> GuideView:
    return _view(guide, await call.door.guides.numbers(guide.id))


def _view(guide: Guide, numbers: GuideNumbers | None) -> GuideView:
    known = numbers or GuideNumbers()
    return GuideView(**vars(guide), **vars(known))


ROUTES = (
    Route("GET", "/guides", KeyRole.SERVICE, list_guides, {200: GuideList}, query=GuidesAsked),
    Route(
        "POST", "/guides", KeyRole.ADMIN, once(create_guide), {201: GuideView}, refuses=(409,), body=GuideIn
    ),
    Route("GET", "/guides/{guide_id}", KeyRole.SERVICE, get_guide, {200: GuideView}),
    Route(
        "PATCH", "/guides/{guide_id}", KeyRole.ADMIN, once(change_guide), {200: GuideView}, body=GuideChangeIn
    ),
)
