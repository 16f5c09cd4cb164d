"""The client for other services: a message, checked and published, and what became of it if one waits.

What is wrong with a message is known before it is published, from senders' own description of its templates.
While senders is away a message is published all the same: it is stored, and checked when it is sent.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

from pydantic import ValidationError

from shared import ids
from shared.bus import Bus, NoAnswer, Refusal, TooLarge
from shared.events import Body, Lane, MessageRequested, State, Variable
from shared.queries import GetMessage, MessageView
from shared.requesting import VALID, Templates, template_errors, text_errors

LOOK_SECONDS = (0.05, 0.1, 0.2, 0.5)


class Invalid(ValueError):
    """The message cannot be sent; `problems` name everything that is wrong with it, field by field."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Accepted:
    """A message that is in the stream, synced to disk; `view` is what it came to while one waited."""

    id: UUID
    view: MessageView | None = None

    @property
    def state(self) -> State:
        """Pending, until it is known better."""
        return self.view.state if self.view else State.PENDING

    @property
    def reason(self) -> str | None:
        """Why it is so, a word of a bounded set."""
        return self.view.reason if self.view else None


class Carillon:
    """A connection to Carillon."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._templates = Templates(bus)

    @classmethod
    @asynccontextmanager
    async def open(cls, nats_url: str, *, name: str = "client") -> AsyncIterator[Self]:
        """Connect while the context lasts, and again whenever the broker was away; raises BusUnavailable."""
        async with Bus.open(nats_url, service=name) as bus:
            yield cls(bus)

    async def send(
        self,
        template: str | None = None,
        variables: Mapping[str, Variable] | None = None,
        *,
        key: str | UUID | None = None,
        channels: Sequence[str] = (),
        user_id: UUID | None = None,
        email: str | None = None,
        telegram_chat_id: int | None = None,
        body: Body | None = None,
        sender: str | None = None,
        valid_for: timedelta | None = None,
        wait: float = 0.0,
        **more: Any,
    ) -> Accepted:
        """Send somebody a template with its variables, or a body; return once it is stored.

        The same `key` is the same message, however often it is sent. `sender` is whose letter it is, one of
        senders' EMAIL_SENDERS. `wait` is for how many seconds the outcome is waited for. `more` are further
        fields of MessageRequested (`lane`, `bot`, `not_before` …).
        Raises Invalid, or BusUnavailable: then nobody knows, and it is to be sent again under its key.
        """
        now = datetime.now(UTC)
        fields = {
            "id": _id(key), "at": now, "template": template, "variables": dict(variables or {}), "body": body,
            "channels": tuple(channels), "user_id": user_id, "expires_at": now, "sender": sender, **more,
        }  # fmt: skip
        if email is not None or telegram_chat_id is not None:
            fields["address"] = {"email": email, "telegram_chat_id": telegram_chat_id}
        try:
            event = MessageRequested.model_validate(fields)
        except ValidationError as error:
            raise Invalid([_said(each["loc"], each["msg"]) for each in error.errors()]) from None
        event = event.model_copy(update={"expires_at": now + (valid_for or VALID[Lane(event.lane)])})
        await self._check(event)
        try:
            await self._bus.publish(event)
        except TooLarge as error:
            raise Invalid([f"the message is too large: {error}"]) from None
        return Accepted(event.id, await self.outcome(event.id, wait) if wait > 0 else None)

    async def outcome(self, message_id: UUID, seconds: float = 0.0) -> MessageView | None:
        """Return what has become of a message: at once, or when it has ended or the time is over.

        None while senders does not know it, or is away.
        """
        until, looks, view = time.monotonic() + seconds, 0, None
        while True:
            left = until - time.monotonic()
            try:
                view = await self._bus.ask(GetMessage(message_id=message_id), timeout=max(left, 1.0))
            except NoAnswer:
                view = None
            except Refusal as refusal:
                if refusal.status != 404:
                    raise
            if left <= 0 or (view is not None and view.state is not State.PENDING):
                return view
            await asyncio.sleep(min(LOOK_SECONDS[min(looks, len(LOOK_SECONDS) - 1)], max(left, 0.0)))
            looks += 1

    async def _check(self, event: MessageRequested) -> None:
        errors = text_errors(event.body, event.channels)
        if event.template is not None or event.sender is not None:
            try:
                errors += await self._check_with_senders(event)
            except NoAnswer:
                return
        if errors:
            raise Invalid([f"{each['field']}: {each['message']}" for each in errors])

    async def _check_with_senders(self, event: MessageRequested) -> list[dict[str, str]]:
        errors = []
        if event.template is not None:
            known = await self._templates.all()
            errors = template_errors(known, event.template, event.channels, event.variables)
        allowed = None if event.sender is None else await self._templates.senders()
        if event.sender is not None and allowed is not None and event.sender.casefold() not in allowed:
            listed = ", ".join(sorted(allowed)) or "none"
            errors.append({"field": "sender", "message": f"unknown sender; there are: {listed}"})
        return errors


def _id(key: str | UUID | None) -> UUID:
    if isinstance(key, UUID):
        return key
    return uuid4() if key is None else ids.derived("client message", key)


def _said(place: tuple[int | str, ...], message: str) -> str:
    where = ".".join(str(part) for part in place)
    text = message.removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
