"""The door under a mixed load: one process and two, beside two bots and a bare endpoint."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from statistics import median

from bench.figures import Figure, Row, Target, ratios
from bench.presses import Contender, contenders_in
from bench.street import process, quiet, stack
from carillon.up.running import Stack

SECONDS = 60.0
AT_MOST = 16_000
"""Updates made in advance for each second of a run."""
IDLE_SECONDS, IDLE_MS = 3.0, 10.0
UPDATES_PER_RUN = 1_000_000
CONSUMED = ("gateway_presses", "gateway_updates")
HOW = (
    f"64 connections, for {SECONDS:.0f} s in all: ten presses, six messages, two commands, an edit and a "
    "block in twenty updates, by a thousand people in chats of their own. Everything is synced in the stream "
    "before its 200; the rivals insert every update into PostgreSQL before they answer. Two processes share "
    "one address (`LISTEN_SHARED`, SO_REUSEPORT). While they are pressed, they also handle what they have "
    "taken: register people, answer commands, write the update log. At rest: one press at a time on one "
    "connection."
)
WHY = (
    "A process answers commands and keeps its update log while it takes updates; and on two cores broker, "
    "PostgreSQL, senders with its replies, and the load have what it leaves."
)


async def measure(rounds: int) -> Figure:
    """Let the mixed load loose on everybody in turn, press one at rest, and let it loose on two."""
    lap = SECONDS / rounds
    how = {"mixed": True, "seconds": lap, "at_most": int(AT_MOST * (lap + 1))}
    # Senders answers what the gateway asks of it: a block would else be told again and again.
    settings = {"LISTEN_SHARED": "true", "SEND_LIMITS": "off"}
    async with stack("gateway", "senders", settings=settings) as opened, contenders_in(opened) as found:
        gateway = found[0]
        first = 1
        for _ in range(rounds):
            for each in found:
                await each.press(first, **how)
                first += UPDATES_PER_RUN
                await quiet(opened, CONSUMED)
        idle = replace(gateway, runs=[], computed=[])
        for _ in range(rounds):
            await idle.press(first, connections=1, seconds=IDLE_SECONDS, at_most=10_000)
            first += UPDATES_PER_RUN
            await quiet(opened, CONSUMED)
        async with _two(opened, gateway) as two:
            for _ in range(rounds):
                await two.press(first, **how)
                first += UPDATES_PER_RUN
                await quiet(opened, CONSUMED)
    return _figure(found, two, idle)


def _figure(found: Sequence[Contender], two: Contender, idle: Contender) -> Figure:
    rows = [each.row for each in (*found, two)]
    ours, bare, both = rows[0].values, rows[1].values, rows[-1].values
    rest = [run.p50_ms for run in idle.runs]
    p99 = median(run.p99_ms for run in idle.runs)
    return Figure(
        "The door: updates of all kinds",
        HOW,
        [*rows, Row("a press at rest, p50", "ms", rest, f"p99 {p99:.1f} ms")],
        [
            Target("of the bare endpoint", ratios(ours, bare), 0.25, why=WHY),
            Target("two processes, of one", ratios(both, ours), 1.0, why=WHY),
            Target("ms until a press at rest is answered", rest, IDLE_MS, at_most=True),
        ],
    )


@asynccontextmanager
async def _two(opened: Stack, one: Contender) -> AsyncIterator[Contender]:
    """Run a second process of the gateway on the address of the first."""
    (replica,) = opened.processes.of("gateway")
    async with process("services.gateway", replica.environment, listens=replica.environment["LISTEN"]):
        yield replace(one, what="two processes of the gateway on one address", runs=[], computed=[])
