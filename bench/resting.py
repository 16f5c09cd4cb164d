"""What a service needs: memory at rest, and time from its start until it is ready."""

import asyncio
import time

import aiohttp

from bench.figures import Figure, Row, Target
from bench.machine import image_megabytes, memory
from bench.street import process, stack
from carillon.system import SERVICES
from carillon.up.running import Stack

REST_SECONDS = 10.0
ASK_SECONDS = 0.01
MEMORY, READY = 150.0, 3.0
HOW = (
    f"Memory: RSS of each of the four processes of a stack, {REST_SECONDS:.0f} s after its start, and PSS, "
    "in which what they share counts once. Ready: from the start of one more process of the service until "
    "its /readyz says 200. Image: as `docker compose build` leaves it, where a Docker engine has it."
)
IMAGE, BASE = "carillon:latest", "python:3.11-slim-bookworm"


async def measure(rounds: int) -> Figure:
    """Weigh a stack that rests, and start each service several times more."""
    async with stack(*SERVICES) as opened:
        await asyncio.sleep(REST_SECONDS)
        weighed = {name: memory(opened.processes.pids[name][0]) for name in SERVICES}
        started = {name: [await _seconds_to_ready(opened, name) for _ in range(rounds)] for name in SERVICES}
    rows = [Row(f"{name}: memory", "MB", [rss], f"PSS {pss:.0f} MB") for name, (rss, pss) in weighed.items()]
    rows += [Row(f"{name}: ready", "s", seconds) for name, seconds in started.items()]
    rows += _image()
    return Figure(
        "A service at rest",
        HOW,
        rows,
        [
            Target("MB in the largest service", [max(rss for rss, _ in weighed.values())], MEMORY, True),
            Target(
                "s until the slowest service is ready",
                [max(each) for each in zip(*started.values(), strict=True)],
                READY,
                True,
            ),
        ],
    )


def _image() -> list[Row]:
    whole, base = image_megabytes(IMAGE), image_megabytes(BASE)
    if whole is None or base is None:
        return []
    return [Row("image of all services", "MB", [whole], f"{base:.0f} MB of it are {BASE}")]


async def _seconds_to_ready(opened: Stack, name: str) -> float:
    environment = {**opened.processes.of(name)[0].environment, "LOG_LEVEL": "ERROR"}
    began = time.perf_counter()
    async with process(f"services.{name}", environment) as running, aiohttp.ClientSession() as session:
        while not await _is_ready(session, running.port):
            await asyncio.sleep(ASK_SECONDS)
        return time.perf_counter() - began


async def _is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
