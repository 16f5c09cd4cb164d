"""Presses: webhook to synced acknowledgement to 200, beside two bots that store them and a bare endpoint."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.figures import Figure, Row, Target, ratios
from bench.load import Answered, Load
from bench.machine import processor_seconds
from bench.street import command, database, process, quiet, stack
from carillon.up.running import Stack

SECRET = "bench_Secret-1234567890"  # noqa: S105 - of servers that live for a minute
RIVALS = (
    ("raw limit: aiohttp, JSON in and out, nothing stored", "bench.limits.bare"),
    ("aiogram webhook: in PostgreSQL, then answered", "bench.rivals.aiogram_webhook"),
    ("python-telegram-bot with Starlette: in PostgreSQL, then answered", "bench.rivals.ptb_starlette"),
)
OURS = "Carillon's gateway: synced in the stream, then answered"
CONSUMED = ("gateway_presses",)
UPDATES_PER_RUN = 1_000_000
HOW = (
    "64 connections, each sending the next press when the last is answered, for 4 s after a second "
    "of warming up; all in turn, each in a process of its own. Carillon's gateway is one process as shipped, "
    "which also reads the presses back and writes its update log and its users while it is pressed. The "
    "rivals insert the press into PostgreSQL (an asyncpg pool, synced commits) before they answer, and run "
    "on uvloop. Beside the rate: the milliseconds from request to answer, and the microseconds that the "
    "process computes per press."
)
WHY = (
    "Of what the gateway computes per press about a third is taking the request and answering it, a sixth "
    "is reading the update and making the event, a fifth is publishing it, and a fifth is what a bot that "
    "only stores the press does not do: reading it back from the stream and keeping update log and users. "
    "The broker computes more than half as much again, and more the smaller the batches are: for a "
    "stream of one replica it stages each atomic batch in files of its own, which takes it 3 to 4 ms however "
    "small the batch is. With two cores, broker, PostgreSQL and the load share what the gateway leaves; "
    "where other programs run too, the comparison is one of everything that a press costs, and the bare "
    "endpoint, which needs neither of them, gains most."
)


@dataclass
class Contender:
    """Somebody who takes presses, and what they achieved."""

    what: str
    pid: int
    port: int
    path: str
    secret: str
    runs: list[Answered] = field(default_factory=list)
    computed: list[float] = field(default_factory=list)
    """Processor seconds per answer, of each run."""

    async def press(self, first_update: int, **how: float | bool) -> None:
        """Let the load loose on it; `how` are fields of the load."""
        load = Load.model_validate(
            {
                "host": "127.0.0.1", "port": self.port, "path": self.path, "secret": self.secret,
                "first_update": first_update, **how,
            }
        )  # fmt: skip
        before = processor_seconds(self.pid)
        answered = await command("bench.load", load.model_dump_json().encode())
        after = processor_seconds(self.pid)
        self.runs.append(Answered.model_validate_json(answered))
        if self.runs[-1].refused:
            raise RuntimeError(f"{self.what}: {self.runs[-1].refused} presses were refused")
        self.computed.append((after - before) / self.runs[-1].all_answers)

    @property
    def row(self) -> Row:
        """What it achieved, as a line of the table."""
        p50 = median(run.p50_ms for run in self.runs)
        p99 = median(run.p99_ms for run in self.runs)
        more = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; {1e6 * median(self.computed):.0f} µs"
        return Row(self.what, "presses/s", [run.rate for run in self.runs], more)


async def measure(rounds: int) -> Figure:
    """Press everybody in turn, several times."""
    async with stack("gateway") as opened, contenders_in(opened) as contenders:
        first = 1
        for _ in range(rounds):
            for each in contenders:
                await each.press(first)
                first += UPDATES_PER_RUN
                # What it still has to write down must not be the next one's burden.
                await quiet(opened, CONSUMED)
    rows = [each.row for each in contenders]
    ours, bare, aiogram, ptb = [row.values for row in rows]
    return Figure(
        "Presses: webhook to synced acknowledgement to 200",
        HOW,
        rows,
        [
            Target("of aiogram", ratios(ours, aiogram), 3.0, why=WHY),
            Target("of python-telegram-bot", ratios(ours, ptb), 2.0, why=WHY),
            Target("of the bare endpoint", ratios(ours, bare), 0.25, why=WHY),
        ],
    )


@asynccontextmanager
async def contenders_in(opened: Stack) -> AsyncIterator[list[Contender]]:
    """Yield the gateway of a stack, the bare endpoint, and the two bots, each a process that listens."""
    async with AsyncExitStack() as stack:
        found = []
        for number, (what, module) in enumerate(RIVALS):
            environment = {
                "SECRET": SECRET,
                "TOKEN": str(opened.outside.bot_token),
                "TELEGRAM_API_URL": str(opened.outside.telegram_api_url),
                "DATABASE_URL": await database(opened, f"rival_{number}"),
            }
            running = await stack.enter_async_context(process(module, environment))
            found.append(Contender(what, running.pid, running.port, "/webhook", SECRET))
        pid = opened.processes.pids["gateway"][0]
        port = int(opened.gateway_url.rpartition(":")[2])
        path = "/telegram/default/webhook"
        yield [Contender(OURS, pid, port, path, opened.identity.webhook_secret), *found]
