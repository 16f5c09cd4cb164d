"""The door under a mixed load: one process and two, beside two bots and a bare endpoint."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from statistics import median
from time import perf_counter

from bench.figures import Figure, Row, Target, ratios
from bench.presses import Contender, contenders_in
from bench.street import process, quiet, stack
from carillon.up.running import Stack
from shared import topology

SECONDS = 60.0
AT_MOST = 16_000
"""Updates made in advance for each second of a run."""
IDLE_SECONDS, IDLE_MS = 3.0, 10.0
UPDATES_PER_RUN = 1_000_000
REPLIES = tuple(each.name for each in topology.DURABLES if each.name.startswith("senders_transactional_"))
CONSUMED = ("gateway_presses", "gateway_updates", "senders_presses", *REPLIES)
"""What an update asks for is done when these have nothing left: its line, and the reply to a command."""
HOW = (
    f"64 connections, for {SECONDS:.0f} s in all: ten presses, six messages, two commands, an edit and a "
    "block in twenty updates, by a thousand people in chats of their own. Everything is synced in the stream "
    "before its 200; the rivals insert every update into PostgreSQL before they answer. Two processes share "
    "one address (`LISTEN_SHARED`, SO_REUSEPORT). In such a rush the door goes first: what is stored is "
    "handled (people registered, commands answered, the update log written) with what the door leaves, and "
    "the rest afterwards. To the last reply: how many updates per second that makes from the first update "
    "until everything is done, replies sent by senders included. At rest: one press at a time on one "
    "connection."
)
WHY = (
    "Whatever a process takes in, broker and load take their share of the two cores for it; so do PostgreSQL "
    "and senders for what is handled meanwhile, and for people who are met for the first time."
)
WHY_TWO = (
    "One process with its broker and the load has both cores busy already; and two publish in groups of half "
    "the size, for each of which the broker syncs. More processes pay where there are more cores."
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
        finished: list[float] = []
        for _ in range(rounds):
            for each in found:
                began = perf_counter()
                await each.press(first, **how)
                first += UPDATES_PER_RUN
                await quiet(opened, CONSUMED)
                if each is gateway:
                    finished.append(gateway.runs[-1].all_answers / (perf_counter() - began))
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
    return _figure(found, two, idle, finished)


def _figure(found: Sequence[Contender], two: Contender, idle: Contender, finished: Sequence[float]) -> Figure:
    rows = [each.row for each in (*found, two)]
    ours, bare, both = rows[0].values, rows[1].values, rows[-1].values
    rows.insert(1, Row("the same, to the last reply", "updates/s", finished))
    rest = [run.p50_ms for run in idle.runs]
    p99 = median(run.p99_ms for run in idle.runs)
    return Figure(
        "The door: updates of all kinds",
        HOW,
        [*rows, Row("a press at rest, p50", "ms", rest, f"p99 {p99:.1f} ms")],
        [
            Target("of the bare endpoint", ratios(ours, bare), 0.25, why=WHY),
            Target("two processes, of one", ratios(both, ours), 1.0, why=WHY_TWO),
            Target("ms until a press at rest is answered", rest, IDLE_MS, at_most=True),
        ],
    )


@asynccontextmanager
async def _two(opened: Stack, one: Contender) -> AsyncIterator[Contender]:
    """Run a second process of the gateway on the address of the first."""
    (replica,) = opened.processes.of("gateway")
    async with process("services.gateway", replica.environment, listens=replica.environment["LISTEN"]):
        yield replace(one, what="two processes of the gateway on one address", runs=[], computed=[])
