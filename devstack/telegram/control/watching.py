"""Control requests that read what the simulator remembers."""

from typing import Any

from pydantic import Field

from devstack.telegram import shapes
from devstack.telegram.cloud import Cloud
from devstack.telegram.control.acting import answered
from devstack.telegram.control.asking import Asked, Nothing
from devstack.telegram.records import Called, Sent


class Since(Asked):
    """From which record on (`next` of the former answer), how many at most, and of which chat or bot."""

    since: int = 0
    limit: int = Field(10_000, ge=1)
    chat_id: int | None = None
    bot_id: int | None = None


class CallsSince(Since):
    """Also of which method."""

    method: str | None = None


async def list_sent(cloud: Cloud, asked: Since, _: int) -> dict[str, Any]:
    """List accepted sends: what, where, and by both clocks when the request arrived and took effect."""
    ring, found, last = cloud.records.sent, [], cloud.records.sent.total
    for number, sent in ring.since(asked.since):
        if asked.chat_id in (None, sent.message.chat.id) and asked.bot_id in (None, sent.bot_id):
            found.append({"n": number, **_sent(cloud, sent)})
            if len(found) == asked.limit:
                last = number
                break
    return {"sent": found, "next": last}


async def list_calls(cloud: Cloud, asked: CallsSince, _: int) -> dict[str, Any]:
    """List every call and its result: method, chat, status (0 for a reset connection), times."""
    ring, found, last = cloud.records.calls, [], cloud.records.calls.total
    method = asked.method and asked.method.lower()
    for number, called in ring.since(asked.since):
        if (
            asked.chat_id in (None, called.chat_id)
            and asked.bot_id in (None, called.bot_id)
            and method in (None, called.method.lower())
        ):
            found.append({"n": number, **_called(called)})
            if len(found) == asked.limit:
                last = number
                break
    return {"calls": found, "next": last}


async def list_answers(cloud: Cloud, asked: Since, _: int) -> dict[str, Any]:
    """List the accepted answers to presses."""
    ring = cloud.records.answers
    found = [
        {"n": number, **answered(each)}
        for number, each in ring.since(asked.since)
        if asked.bot_id in (None, each.bot_id)
    ]
    kept = found[: asked.limit]
    return {"answers": kept, "next": kept[-1]["n"] if len(kept) < len(found) else ring.total}


async def show_counters(cloud: Cloud, _: Nothing, __: int) -> dict[str, Any]:
    """Show totals: calls by method and status, messages by chat, refusals by flood control."""
    return cloud.records.totals()


def _sent(cloud: Cloud, sent: Sent) -> dict[str, Any]:
    return {
        "arrived_at": sent.arrived.time,
        "arrived_monotonic": sent.arrived.monotonic,
        "took_effect_at": sent.took_effect.time,
        "took_effect_monotonic": sent.took_effect.monotonic,
        "bot_id": sent.bot_id,
        "chat_id": sent.message.chat.id,
        "message_id": sent.message.id,
        "text": sent.text,
        "entities": shapes.entities(sent.entities, cloud.world),
        "reply_markup": sent.reply_markup,
        "via": sent.via,
    }


def _called(called: Called) -> dict[str, Any]:
    return {
        "arrived_at": called.arrived.time,
        "arrived_monotonic": called.arrived.monotonic,
        "answered_at": called.answered.time,
        "answered_monotonic": called.answered.monotonic,
        "bot_id": called.bot_id,
        "method": called.method,
        "chat_id": called.chat_id,
        "status": called.status,
        "description": called.description,
        "fault": called.fault,
        "via": called.via,
    }
