"""How a route of the API is declared: everything that guards it, reads for it, and is told about it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter

from services.gateway.domain.roles import KeyRole
from shared.queries import ScheduleName

if TYPE_CHECKING:
    from services.gateway.api.asking import Call

PREFIX = "/api/v1"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
READS = frozenset({"GET", "HEAD"})

Slug = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]


@dataclass(frozen=True)
class Named:
    """What stands for something in a path; whatever does not look like it names nothing: 404."""

    noun: str
    type: Any = UUID

    @property
    def adapter(self) -> TypeAdapter[Any]:
        """What reads it."""
        return TypeAdapter(self.type)


NAMED: Mapping[str, Named] = {
    "broadcast_id": Named("broadcast"),
    "campaign_id": Named("campaign"),
    "click_id": Named("click"),
    "guide_id": Named("guide", Slug),
    "message_id": Named("message"),
    "number": Named("dead letter", Annotated[int, Field(ge=1, lt=2**63)]),
    "promo_id": Named("promo", Slug),
    "subscription_id": Named("push subscription"),
    "suppression_id": Named("suppression"),
    "schedule_id": Named("schedule", UUID | ScheduleName),
    "user_id": Named("recipient"),
}
"""Every placeholder that a path may have."""
ADAPTERS = {name: named.adapter for name, named in NAMED.items()}


class Media:
    """A body or an answer that is not JSON, of one of some content types."""

    def __init__(self, *types: str) -> None:
        self.types = types


@dataclass(frozen=True)
class Route:
    """A route below /api/v1; its handler's docstring is its summary and, after a blank line, its description.

    `role` is the lowest role of key that may call it. `answers` says per status what its document is (a model
    or any other type, Media, or None for an empty body). `refuses` are statuses of problems beyond those that
    follow from everything else: see `refusals`. `query` is the model of the query string; without one, every
    parameter is unknown. `body` is the type of the JSON body, or Media.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    role: KeyRole
    handle: "Callable[[Call], Awaitable[web.StreamResponse]]"
    answers: Mapping[int, Any]
    refuses: tuple[int, ...] = ()
    query: type[BaseModel] | None = None
    body: Any = None

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in the path."""
        return tuple(PLACEHOLDER.findall(self.path))

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method in READS

    def refusals(self) -> tuple[int, ...]:
        """Return every status of a problem that it may answer with."""
        found = {401, 422, 429, 500, 503, *self.refuses}
        if self.role > KeyRole.SERVICE:
            found.add(403)
        if self.placeholders:
            found.add(404)
        if self.body is not None:
            found |= {400, 413, 415}
        return tuple(sorted(found))
