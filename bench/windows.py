"""The governor, counted at the provider: how full windows get, how much of the budget is used, and pauses."""

import asyncio
from collections.abc import Sequence

import asyncpg

from bench.crowds import campaign, control, count_sent, fullest, make_chats, message, sent
from bench.figures import Figure, Row, Target
from bench.street import stack
from carillon.system import SERVICES
from carillon.up.running import Stack
from shared.bus import Bus

RATE, REPLICAS = 20, (1, 2, 4)
RECIPIENTS, FIRST = 3000, 1_000_000
GROUPS, CHAT, PER_CHAT = (-5001, -5002), 5003, 40
PAUSE_SECONDS, PAUSED_RECIPIENTS = 5, 600
EDGE_SECONDS = 5.0
UNDER_WAY_SECONDS = 0.1
"""What was claimed before a pause was written down may still be on its way."""
PATIENCE = 3.0
WHY = (
    "Nine processes and the simulator share this machine's processors: an attempt that does not get one for "
    "a slot's length gives its slot up."
)
HOW = (
    f"A campaign to {RECIPIENTS:,} private chats by 1, 2 and 4 replicas of senders at {RATE}/s, beside it "
    f"{PER_CHAT} messages to each of two groups and to one private chat, on the four services; counted by "
    "the simulated Telegram, by its own clock, when a request arrives. Utilisation: what was sent in all "
    f"against {RATE}/s, the first and last {EDGE_SECONDS:.0f} s left out. Then a campaign to "
    f"{PAUSED_RECIPIENTS} chats by two replicas, in which one chat and later several answer 429 with "
    f"retry_after {PAUSE_SECONDS}."
)


async def measure(_rounds: int) -> Figure:
    """Send with 1, 2 and 4 replicas, once each, and through two pauses."""
    rows: list[Row] = []
    crowded: list[float] = []
    used: list[float] = []
    refused: list[float] = []
    groups: list[float] = []
    chats: list[float] = []
    for replicas in REPLICAS:
        async with stack(*SERVICES, settings={"PROMO_CHAT_IDS": "[]"}, senders=replicas) as opened:
            await _campaign(opened)
            took = await sent(opened)
            refused.append((await control(opened, "/counters"))["too_many_requests"])
        moments = sorted(each["arrived_monotonic"] for each in took)
        crowded.append(fullest(moments, 1.0))
        used.append(_used(moments))
        groups += [fullest(_in(took, group), 60.0) for group in GROUPS]
        chats.append(fullest(_in(took, CHAT), 10.0))
        rows.append(
            Row(f"utilisation by {replicas} replicas", "", [used[-1]], f"fullest second {crowded[-1]:.0f}")
        )
    after, in_pause = await _pauses()
    return Figure(
        "What the provider sees of the limits",
        HOW,
        rows,
        [
            Target("messages in the fullest second", crowded, RATE + 1, True),
            Target("the least utilisation", [min(used)], 0.95, why=WHY),
            Target("messages in a group's fullest minute", groups, 20, True),
            Target("messages in a private chat's fullest 10 s", chats, 11, True),
            Target("refusals for haste", refused, 0, True),
            Target("sends during a pause", [in_pause], 0, True),
            Target("messages in the fullest second around pauses", [after], RATE + 1, True),
        ],
    )


async def _campaign(opened: Stack) -> None:
    await make_chats(opened, "private", range(FIRST, FIRST + RECIPIENTS))
    await make_chats(opened, "private", [CHAT])
    await make_chats(opened, "group", GROUPS)
    async with Bus.open(opened.outside.nats_url, service="bench") as bus:
        for number in range(PER_CHAT):
            await asyncio.gather(*(bus.publish(message(each, f"No. {number}")) for each in (*GROUPS, CHAT)))
    await campaign(opened, FIRST, RECIPIENTS)
    await _until(opened, RECIPIENTS + 3 * PER_CHAT)


async def _pauses() -> tuple[int, int]:
    """Return the fullest second of a campaign with pauses, and how many sends fell into a pause."""
    async with stack(*SERVICES, settings={"PROMO_CHAT_IDS": "[]"}, senders=2) as opened:
        await make_chats(opened, "private", range(FIRST, FIRST + PAUSED_RECIPIENTS))
        await campaign(opened, FIRST, PAUSED_RECIPIENTS)
        await _until(opened, PAUSED_RECIPIENTS // 3)
        fault = {"kind": "retry_after", "method": "sendMessage", "seconds": PAUSE_SECONDS}
        await control(opened, "/faults", fault | {"times": 1})
        await _until(opened, PAUSED_RECIPIENTS // 2)
        await control(opened, "/faults", fault | {"times": 2})
        await _until(opened, PAUSED_RECIPIENTS)
        took = await sent(opened)
        senders = await asyncpg.connect(opened.system.database_url("senders"))
        pauses = await senders.fetch("""
            SELECT key, extract(epoch FROM paused_at)::float8 AS began,
                   extract(epoch FROM paused_until)::float8 AS ended
            FROM governor WHERE paused_at IS NOT NULL""")
        await senders.close()
    wrong = 0
    for pause in pauses:
        kind, _, name = pause["key"].partition(":")
        chat = int(name.rpartition(":")[2]) if kind == "chat" else None
        wrong += sum(
            pause["began"] + UNDER_WAY_SECONDS < each["arrived_at"] < pause["ended"]
            for each in took
            if chat in (None, each["chat_id"])
        )
    assert any(pause["key"].startswith("bot:") for pause in pauses)  # noqa: S101 - the figure is about it
    return fullest([each["arrived_monotonic"] for each in took], 1.0), wrong


async def _until(opened: Stack, count: int) -> None:
    async with asyncio.timeout(30 + PATIENCE * count / RATE):
        while await count_sent(opened) < count:
            await asyncio.sleep(1)


def _in(took: Sequence[dict[str, float]], chat_id: int) -> list[float]:
    return [each["arrived_monotonic"] for each in took if each["chat_id"] == chat_id]


def _used(moments: Sequence[float]) -> float:
    first, last = moments[0] + EDGE_SECONDS, moments[-1] - EDGE_SECONDS
    return sum(first <= each < last for each in moments) / (RATE * (last - first))
