"""How a command asks a service: over the broker, and with one line where it is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from carillon.output import fail
from carillon.system import System
from services.gateway.api.problems import Problem
from shared.bus import Bus, NoAnswer, Refusal
from shared.queries import Query, ReplyT

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)

SECONDS = 10.0


def ask(stack: Path | None, query: Query[ReplyT]) -> ReplyT:
    """Ask a question of the system's; ends the command where it is refused, or not answered."""
    return with_bus(stack, lambda bus: bus.ask(query, timeout=SECONDS))


def with_bus(stack: Path | None, act: Callable[[Bus], Awaitable[T]]) -> T:
    """Do something that asks questions; ends the command where one is refused, or not answered."""

    async def run() -> T:
        async with System.find(stack).bus() as bus:
            return await act(bus)

    try:
        return asyncio.run(run())
    except Refusal as refusal:
        fail(f"{refusal.title}: {refusal.detail}", code=1)
    except Problem as problem:
        fail(f"{problem.title}: {problem.detail}", code=1)
    except NoAnswer as error:
        fail(str(error), code=1)


def checked(model: type[ModelT], **values: Any) -> ModelT:
    """Return a model of what was given; ends the command with what is wrong with it."""
    try:
        return model(**values)
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()))


def moment(text: str | None) -> datetime | None:
    """Read a time in ISO 8601; one without an offset is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f"'{text}' is no time; expected one such as 2026-12-24T18:00+01:00")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
