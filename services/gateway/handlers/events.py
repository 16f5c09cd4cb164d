"""What gateway does with each event."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from services.gateway.domain.commands import Done, command_in
from services.gateway.domain.updates import Written, words_in, written_in
from services.gateway.store import Arrival, Arrivals, Logged, Seen, UpdateLog, User, Users
from shared import ids
from shared.events import (
    ButtonClicked,
    ClickSource,
    RecipientForgotten,
    UpdateHandled,
    UpdateReceived,
    update_handled_id,
)
from shared.queues import Queues
from shared.record.redacting import emptied

RunCommand = Callable[[UpdateReceived, Written, User | None, datetime], Awaitable[Done]]
Publish = Callable[[UpdateHandled], Awaitable[None]]
PublishAll = Callable[[Sequence[UpdateHandled]], Awaitable[None]]
NOTHING = Done("ignored")


def asks_for_something(update: UpdateReceived) -> bool:
    """Say whether something is to be done about an update besides writing it down."""
    if update.kind == "my_chat_member":
        return True
    return command_in(update.kind, words_in(update.update, update.kind)) is not None


async def update_received(
    update: UpdateReceived,
    arrivals: Arrivals,
    run: RunCommand,
    queues: Queues,
    publish: Publish,
    now: datetime,
) -> None:
    """Register who is met, do what is to be done, and log it: once, and in each chat one after the other.

    What was done is published before the log says so: the log can be made anew from the stream.
    """
    written = written_in(update.update, update.kind)
    async with queues.turn((update.bot_id, written.chat_id or update.id)):
        started = time.monotonic()
        arrived = await arrivals.take(Arrival(line_of(update, written), _seen_in(update, written)))
        if arrived.settled:
            return
        done = await run(update, written, arrived.user, now)
        handled = _handled(update, done, now, started)
        await publish(handled)
        await arrivals.settle(handled)


async def updates_written_down(
    updates: Sequence[UpdateReceived], arrivals: Arrivals, publish: PublishAll, now: datetime
) -> None:
    """Register who is met and log what asks for nothing: many at once, for their order says nothing.

    A crash in between costs nothing: whatever is not settled in the log comes again, under the same ids.
    """
    started = time.monotonic()
    settled = await arrivals.write_down([_arrival_of(update) for update in updates])
    handled = [
        _handled(update, NOTHING, now, started)
        for update, is_settled in zip(updates, settled, strict=True)
        if not is_settled
    ]
    if handled:
        await publish(handled)
        await arrivals.settle_all(handled)


def _arrival_of(update: UpdateReceived) -> Arrival:
    written = written_in(update.update, update.kind)
    return Arrival(line_of(update, written), _seen_in(update, written))


def _handled(update: UpdateReceived, done: Done, now: datetime, started: float) -> UpdateHandled:
    return UpdateHandled(
        id=update_handled_id(update.bot_id, update.update_id), at=now, bot_id=update.bot_id,
        update_id=update.update_id, status=done.status, command=done.command, error=done.error,
        handling_seconds=time.monotonic() - started,
    )  # fmt: skip


def _seen_in(update: UpdateReceived, written: Written) -> Seen | None:
    if written.person is None:
        return None
    chat_id = written.chat_id if written.is_private else None
    return Seen(written.person, update.bot, chat_id, update.id, update.at)


async def button_clicked(presses: Sequence[ButtonClicked], users: Users, log: UpdateLog) -> None:
    """Register who pressed, and log the updates that told of it (a deep link's is logged as a command)."""
    await users.register(
        [Seen(press.person, press.bot, None, press.id, press.at) for press in presses if press.person]
    )
    await log.add(lines_of(presses))


async def recipient_forgotten(forgotten: RecipientForgotten, users: Users, log: UpdateLog) -> None:
    """Drop somebody whom the bots have met, and make their updates nobody's."""
    await log.forget(forgotten)
    await users.forget(forgotten)


def lines_of(presses: Sequence[ButtonClicked]) -> list[Logged]:
    """Return the lines of presses on buttons, which are updates too."""
    return [
            Logged(
                bot_id=press.bot_id, update_id=press.update_id, bot=press.bot, kind="callback_query",
                user_id=press.user_id, chat_id=press.chat_id, text=None, status="handled",
                received_at=press.at,
            )
            for press in presses
            if press.source is ClickSource.BUTTON and press.update_id is not None
    ]  # fmt: skip


def line_of(update: UpdateReceived, written: Written) -> Logged:
    """Return the line of an update."""
    person = written.person
    return Logged(
        bot_id=update.bot_id, update_id=update.update_id, bot=update.bot, kind=update.kind,
        user_id=ids.user_of_telegram(person.telegram_id) if person else None, chat_id=written.chat_id,
        text=written.text, status="received", received_at=update.at,
        # What is empty because it was about somebody who is forgotten is not kept, then as now.
        update=None if update.update == emptied(update) else update.update,
    )  # fmt: skip
