"""Alerts while a large campaign runs: how much longer they take, and what the campaign weighs."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.crowds import campaign, count_sent, make_chats, message, sent
from bench.figures import Figure, Row, Target
from bench.machine import memory
from bench.street import stack
from carillon.system import SERVICES
from carillon.up.running import Stack
from shared.bus import Bus

RECIPIENTS, FIRST, KNOWN = 100_000, 1_000_000, 4000
ALERTS, ALERT_CHATS, APART_SECONDS = 200, 5000, 0.3
SLOTS, SLOT_SECONDS = 3, 0.05
GROWTH = 50.0
HOW = (
    f"{ALERTS} alerts, one every {APART_SECONDS} s to a chat of its own, from the publishing of their "
    f"request to the request at the simulated Telegram; at rest, and while a campaign to {RECIPIENTS:,} "
    "recipients uses the whole rate of 20/s. Memory: RSS of senders at rest, and the most in the campaign."
)


async def measure(_rounds: int) -> Figure:
    """Send alerts at rest and beside a campaign, once."""
    async with stack(*SERVICES, settings={"PROMO_CHAT_IDS": "[]"}) as opened:
        await make_chats(opened, "private", range(ALERT_CHATS, ALERT_CHATS + 2 * ALERTS))
        await make_chats(opened, "private", range(FIRST, FIRST + KNOWN))
        idle = await _alerts(opened, ALERT_CHATS)
        before, _ = memory(opened.processes.pids["senders"][0])
        await campaign(opened, FIRST, RECIPIENTS)
        begun = await count_sent(opened)
        async with asyncio.timeout(60):
            while await count_sent(opened) < begun + 100:
                await asyncio.sleep(0.5)
        weighing = asyncio.create_task(_heaviest(opened))
        busy = await _alerts(opened, ALERT_CHATS + ALERTS)
        weighing.cancel()
        (heaviest,) = await asyncio.gather(weighing)
    allowed = 1000 * SLOTS * SLOT_SECONDS
    return Figure(
        "Alerts beside a campaign",
        HOW,
        [_row("alert at rest", idle), _row("alert during the campaign", busy),
         Row("senders at rest", "MB", [before]), Row("senders during the campaign", "MB", [heaviest])],
        [
            Target("ms that the p99 grows by", [1000 * (_p99(busy) - _p99(idle))], allowed, True),
            Target("MB that senders grows by", [heaviest - before], GROWTH, True),
        ],
    )  # fmt: skip


async def _alerts(opened: Stack, first: int) -> list[float]:
    """Send alerts, and return how long each took."""
    asked: dict[int, float] = {}
    async with Bus.open(opened.outside.nats_url, service="bench") as bus:
        for chat_id in range(first, first + ALERTS):
            asked[chat_id] = datetime.now(UTC).timestamp()
            await bus.publish(message(chat_id, "Alert"))
            await asyncio.sleep(APART_SECONDS)
    await asyncio.sleep(3)
    arrived = {each["chat_id"]: each["arrived_at"] for each in await sent(opened) if each["chat_id"] in asked}
    return [arrived[chat_id] - at for chat_id, at in asked.items()]


async def _heaviest(opened: Stack) -> float:
    """Return the most that senders weighed until cancelled."""
    most = 0.0
    try:
        while True:
            most = max(most, memory(opened.processes.pids["senders"][0])[0])
            await asyncio.sleep(1)
    except asyncio.CancelledError:
        return most


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


def _row(what: str, seconds: Sequence[float]) -> Row:
    times = [1000 * each for each in seconds]
    return Row(what, "ms", times, f"p99 {1000 * _p99(seconds):.1f} ms of {len(times)}")
