"""A campaign to a million: its list comes as a file, is shown and expanded, in a bounded memory."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg

from bench.figures import Figure, Row, Target
from bench.machine import memory
from bench.street import stack
from carillon.system import SERVICES
from carillon.up.running import Stack

COUNT = int(os.environ.get("BENCH_RECIPIENTS", "1000000"))
"""Fewer, to try it out."""
LINES = 5_000
ASKED = 50
EXPANDED = 500
REST_SECONDS, LOOK_SECONDS, SECONDS = 5.0, 0.25, 3600.0
EXTRA_MB = 50.0
PROGRESS_MS = 100.0
HOW = (
    f"A draft on the four services gets a list of {COUNT:,} chats as one CSV file over the API, is asked for "
    f"{ASKED} times, started, and left until {EXPANDED:,} of it are expanded into messages. Memory is the "
    "largest RSS meanwhile, looked at four times a second, above that at rest before."
)


@dataclass
class Memory:
    """What a process needs at rest, and at most since."""

    pid: int
    rest: float
    most: float = 0.0

    @property
    def extra(self) -> float:
        """The megabytes above rest."""
        return max(0.0, self.most - self.rest)


@dataclass
class Seconds:
    """How long each step took; of asking, each time."""

    listing: float = 0.0
    asking: list[float] = field(default_factory=list)
    starting: float = 0.0
    expanding: float = 0.0


async def measure(_rounds: int) -> Figure:
    """List, ask, start and expand, once: it takes minutes."""
    async with stack(*SERVICES, settings={"PROMO_CHAT_IDS": "[]"}) as opened:
        await asyncio.sleep(REST_SECONDS)
        watched = {name: _at_rest(opened, name) for name in ("gateway", "senders")}
        async with _watching(watched), asyncio.timeout(SECONDS):
            took = await _campaign(opened)
    asking = [1000 * each for each in took.asking]
    rows = [
        Row("importing the list", "recipients/s", [COUNT / took.listing], f"{took.listing:.0f} s"),
        Row("asking how far it is", "ms", asking),
        Row("starting it", "s", [took.starting], "with an estimate of how long it takes"),
        Row(f"expanding the first {EXPANDED:,}", "s", [took.expanding], "as far ahead as it goes at once"),
        *(
            Row(f"{name}: memory above rest", "MB", [each.extra], f"{each.rest:.0f} MB at rest")
            for name, each in watched.items()
        ),
    ]
    targets = [
        Target(f"MB above rest in {name}", [each.extra], EXTRA_MB, True) for name, each in watched.items()
    ]
    progress = Target("ms to ask how far it is", asking, PROGRESS_MS, True)
    return Figure("A campaign to a million", HOW, rows, [*targets, progress])


async def _campaign(opened: Stack) -> Seconds:
    took = Seconds()
    headers = {"Authorization": f"Bearer {opened.system.owner_key}"}
    base, timeout = f"{opened.gateway_url}/api/v1/campaigns", aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        said = {"draft": True, "channels": ["telegram"], "body": {"text": "News"}}
        made = await _answered(session, "POST", base, json=said)
        place = f"{base}/{made['id']}"
        began = time.perf_counter()
        csv = {"data": _csv(), "headers": {"Content-Type": "text/csv"}}
        listed = await _answered(session, "POST", f"{place}/recipients", **csv)
        took.listing = time.perf_counter() - began
        if listed["recipients"] != COUNT:
            raise RuntimeError(f"{listed['recipients']} are listed, not {COUNT}")
        for _ in range(ASKED):
            began = time.perf_counter()
            await _answered(session, "GET", place)
            took.asking.append(time.perf_counter() - began)
        began = time.perf_counter()
        await _answered(session, "POST", f"{place}/start", json={})
        took.starting = time.perf_counter() - began
        began = time.perf_counter()
        await _expanded(opened, min(EXPANDED, COUNT))
        took.expanding = time.perf_counter() - began
        await _answered(session, "POST", f"{place}/cancel")
    return took


async def _answered(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> Any:  # JSON out
    async with session.request(method, url, **more) as answer:
        if answer.status >= 400:
            raise RuntimeError(f"{method} {url}: {answer.status} {await answer.text()}")
        return await answer.json()


async def _csv() -> AsyncIterator[bytes]:
    yield b"telegram_chat_id,name\n"
    for first in range(0, COUNT, LINES):
        last = min(first + LINES, COUNT)
        yield "".join(f"{10_000_000 + each},Ann {each}\n" for each in range(first, last)).encode()


async def _expanded(opened: Stack, wanted: int) -> None:
    senders = await asyncpg.connect(opened.system.database_url("senders"))
    try:
        while await senders.fetchval("SELECT max(expanded) FROM campaigns") < wanted:
            await asyncio.sleep(0.05)
    finally:
        await senders.close()


def _at_rest(opened: Stack, name: str) -> Memory:
    pid = opened.processes.pids[name][0]
    return Memory(pid, memory(pid)[0])


@asynccontextmanager
async def _watching(watched: dict[str, Memory]) -> AsyncIterator[None]:
    async def look() -> None:
        while True:
            for each in watched.values():
                each.most = max(each.most, memory(each.pid)[0])
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
