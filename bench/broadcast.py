"""A broadcast through trouble, beside what a user would pick instead: what is lost, doubled, refused."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg

from bench.crowds import campaign, control, make_chats
from bench.figures import Figure, Row, Target
from bench.street import stack
from carillon.up.processes import die_with_parent
from carillon.up.running import Stack

RECIPIENTS, KILLED_AT = 600, 300
LOST_BEFORE, LOST_AFTER, THROTTLED, THROTTLED_SECONDS = 10, 20, 3, 3
AGAIN_SECONDS, ASK_SECONDS, SECONDS = 0.5, 0.5, 240.0
LIMITS = {"global_rate": 30.0, "global_burst": 30, "private_rate": 1.0, "private_burst": 3}
RIVALS = (
    ("python-telegram-bot with AIORateLimiter", "bench.rivals.ptb_broadcast"),
    ("aiogram with its recipe for broadcasts", "bench.rivals.aiogram_broadcast"),
    ("tgcast", "bench.rivals.tgcast_broadcast"),
)
OURS = "Carillon's senders, one process"
HOW = (
    f"One text to {RECIPIENTS} private chats of the simulated Telegram, which takes 30 a second and refuses "
    f"more; in turn, each with the same trouble: {LOST_BEFORE} connections reset before the message was "
    f"taken and {LOST_AFTER} after it, {THROTTLED} chats that answer 429 with retry_after "
    f"{THROTTLED_SECONDS}, and the process killed (SIGKILL) when {KILLED_AT} have been sent to and started "
    f"again {AGAIN_SECONDS} s later. Lost: chats that never got the text and are not listed as in doubt."
    " Doubled: messages beyond the first in a chat. Carillon lists what it cannot know as ambiguous, "
    "and does not send it again."
)

_ENDED = """
    SELECT count(*) FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE m.campaign_id = $1 AND d.state NOT IN ('pending', 'sending')"""
_DOUBTS = """
    SELECT CAST(m.request -> 'address' ->> 'telegram_chat_id' AS bigint) FROM deliveries d
    JOIN messages m ON m.id = d.message_id WHERE m.campaign_id = $1 AND d.state = 'ambiguous'"""


@dataclass
class Runs:
    """What came of somebody's broadcasts."""

    what: str
    lost: list[float] = field(default_factory=list)
    doubled: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    doubts: list[int] = field(default_factory=list)

    @property
    def row(self) -> Row:
        """Return its line of the table."""
        doubts = f", {max(self.doubts)} listed as ambiguous" if self.doubts else ""
        lost, doubled, refused = (max(each) for each in (self.lost, self.doubled, self.refused))
        said = f"lost {lost:.0f}, doubled {doubled:.0f}, 429s provoked {refused:.0f}{doubts}"
        return Row(self.what, "s", self.seconds, said)


async def measure(rounds: int) -> Figure:
    """Let everybody broadcast in turn, several times."""
    everybody = [Runs(OURS), *(Runs(what) for what, _ in RIVALS)]
    async with stack("senders") as opened:
        for number in range(rounds):
            for place, runs in enumerate(everybody):
                chats = range(first := 1_000_000 * (1 + number * len(everybody) + place), first + RECIPIENTS)
                async with _trouble(opened, chats) as before:
                    began = time.monotonic()
                    if place:
                        await _rival(opened, RIVALS[place - 1][1], chats)
                        doubts: set[int] = set()
                    else:
                        doubts = await _ours(opened, chats)
                        runs.doubts.append(len(doubts))
                    await _judge(opened, runs, chats, doubts, before, began)
    ours = everybody[0]
    return Figure(
        "A broadcast through trouble",
        HOW,
        [runs.row for runs in everybody],
        [
            Target("messages that Carillon lost", ours.lost, 0, True),
            Target("messages that Carillon doubled", ours.doubled, 0, True),
            Target("429s that Carillon provoked", ours.refused, 0, True),
        ],
    )


@asynccontextmanager
async def _trouble(opened: Stack, chats: range) -> AsyncIterator[int]:
    """Make the chats and what goes wrong in them; give the number of 429s before."""
    await make_chats(opened, "private", chats)
    await control(opened, "/flood", {"enabled": True, **LIMITS})
    kinds = ["reset_before"] * LOST_BEFORE + ["reset_after"] * LOST_AFTER + ["retry_after"] * THROTTLED
    step = RECIPIENTS // len(kinds)
    for place, kind in enumerate(kinds):
        fault = {"kind": kind, "method": "sendMessage", "chat_id": chats[place * step + step // 2]}
        await control(opened, "/faults", fault | {"seconds": THROTTLED_SECONDS})
    yield (await control(opened, "/counters"))["too_many_requests"]


async def _judge(
    opened: Stack, runs: Runs, chats: range, doubts: set[int], before: int, began: float
) -> None:
    runs.seconds.append(time.monotonic() - began)
    counters = await control(opened, "/counters")
    times = [counters["messages_by_chat"].get(str(chat), 0) for chat in chats]
    runs.lost.append(sum(not each and chat not in doubts for chat, each in zip(chats, times, strict=True)))
    runs.doubled.append(sum(max(0, each - 1) for each in times))
    runs.refused.append(max(0, counters["too_many_requests"] - before - THROTTLED))


async def _ours(opened: Stack, chats: range) -> set[int]:
    """Broadcast by a campaign; return the chats that are in doubt."""
    campaign_id = await campaign(opened, chats[0], len(chats))
    killed = asyncio.create_task(_kill_when(lambda: _reached(opened, chats), lambda: _kill(opened)))
    senders = await asyncpg.connect(opened.system.database_url("senders"))
    try:
        async with asyncio.timeout(SECONDS):
            while await senders.fetchval(_ENDED, campaign_id) < len(chats):
                await asyncio.sleep(ASK_SECONDS)
        await killed
        return {row[0] for row in await senders.fetch(_DOUBTS, campaign_id)}
    finally:
        killed.cancel()
        await senders.close()


def _kill(opened: Stack) -> None:
    """Kill senders, which the stack starts again."""
    os.kill(opened.processes.pids["senders"][0], signal.SIGKILL)


async def _rival(opened: Stack, module: str, chats: range) -> None:
    """Run a rival until it is killed, and again until it ends."""
    with tempfile.TemporaryDirectory(prefix="carillon-bench-") as folder:
        environment = {
            "PATH": os.environ["PATH"], "TOKEN": str(opened.outside.bot_token), "TEXT": "News",
            "FOLDER": folder,
            "TELEGRAM_API_URL": str(opened.outside.telegram_api_url), "FIRST": str(chats[0]),
            "COUNT": str(len(chats)),
        }  # fmt: skip
        async with _process(module, environment) as first, asyncio.timeout(SECONDS):
            await _kill_when(lambda: _reached(opened, chats), first.kill)
            await first.wait()
        await asyncio.sleep(AGAIN_SECONDS)
        async with _process(module, environment) as second, asyncio.timeout(SECONDS):
            await second.wait()


@asynccontextmanager
async def _process(module: str, environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=environment, preexec_fn=die_with_parent,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            started.kill()
        await started.wait()


async def _reached(opened: Stack, chats: range) -> bool:
    """Say whether enough have been sent to for the kill."""
    by_chat = (await control(opened, "/counters"))["messages_by_chat"]
    return sum(str(chat) in by_chat for chat in chats) >= KILLED_AT


async def _kill_when(is_time: Callable[[], Awaitable[bool]], kill: Callable[[], None]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await is_time():
            await asyncio.sleep(ASK_SECONDS)
    kill()
