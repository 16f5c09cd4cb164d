"""Schedules: how late posts are when 10,000 of them are due, beside APScheduler with the same schedules."""

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any
from uuid import uuid4

import asyncpg
import nats
from nats.js.api import ConsumerConfig, DeliverPolicy, StreamConfig

from bench.figures import Figure, Row, Target
from bench.machine import processor_seconds
from bench.rivals.apscheduler_jobs import Jobs
from bench.street import command, stack
from carillon.up.running import Stack

SCHEDULES = 10_000
SPREAD_SECONDS = 60.0
REST_SECONDS = 15.0
LEAD_SECONDS = 8.0
"""From making the schedules until the first is due: a rival needs seconds to take them in."""
PATIENCE_SECONDS = 240.0
CPU_PERCENT = 2.0
RIVAL_STREAM, RIVAL_SUBJECT = "RIVAL", "rival.due"
FETCH = 500
HOW = (
    f"{SCHEDULES:,} schedules of a day each, with one chat, are due spread over {SPREAD_SECONDS:.0f} s, and "
    "then all in the same second; late is the time of a post's event in the stream, synced, less its slot's. "
    "Carillon writes every decision into PostgreSQL before it publishes, and keeps its promo log besides. "
    "APScheduler runs an asyncio scheduler whose jobs, kept in memory only, publish to a stream of the same "
    "broker; it is told not to drop what is late. At rest: the scheduler's share of one core while none of "
    f"the {SCHEDULES:,} is due, over {REST_SECONDS:.0f} s."
)
_MAKE = """
    INSERT INTO schedules (id, name, bot, interval_seconds, validity_seconds, time_zone, chat_ids, active,
                           activated_at, next_slot)
    SELECT gen_random_uuid(), $1 || n, 'default', 86400, 3600, 'UTC', ARRAY[n::bigint], true,
           slot - interval '1 day', slot
    FROM unnest($2::timestamptz[]) WITH ORDINALITY AS due (slot, n)"""
_LEFT = """
    SELECT count(*) FROM schedules s WHERE s.name LIKE $1 || '%' AND NOT EXISTS (
        SELECT FROM slots WHERE slots.schedule_id = s.id AND announced_at IS NOT NULL)"""


async def measure(rounds: int) -> Figure:
    """Let both be due in turn, spread and at once."""
    late: dict[tuple[str, str], list[list[float]]] = {}
    shares: list[float] = []
    async with stack("scheduler", settings={"PROMO_CHAT_IDS": "[]"}) as opened:
        client = await nats.connect(opened.outside.nats_url)
        await client.jetstream().add_stream(StreamConfig(name=RIVAL_STREAM, subjects=[RIVAL_SUBJECT]))
        for _ in range(rounds):
            shares.append(await _at_rest(opened))
            for how, seconds in (("spread over a minute", SPREAD_SECONDS), ("in the same second", 0.0)):
                ours = await _ours(opened, client, seconds)
                theirs = await _theirs(opened, client, seconds)
                late.setdefault(("Carillon", how), []).append(ours)
                late.setdefault(("APScheduler", how), []).append(theirs)
        await client.close()
    rows = [_row(f"{who}, {how}", each) for (who, how), each in late.items()]
    rows.append(Row("Carillon at rest", "% of a core", shares))
    return Figure(
        "Schedules: how late 10,000 are",
        HOW,
        rows,
        [Target("% of a core at rest", shares, CPU_PERCENT, at_most=True, why="It looks every second.")],
    )


def _row(what: str, rounds: Sequence[Sequence[float]]) -> Row:
    every = sorted(value for each in rounds for value in each)
    p99 = quantiles(every, n=100)[98]
    middles = [sorted(each)[len(each) // 2] for each in rounds]
    return Row(what, "ms", middles, f"p50, p99 {p99:,.0f} ms, max {every[-1]:,.0f} ms of {len(every):,}")


async def _at_rest(opened: Stack) -> float:
    name = f"rest-{uuid4().hex[:8]}-"
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    database = await _make(opened, name, [tomorrow] * SCHEDULES)
    pid = opened.processes.pids["scheduler"][0]
    await asyncio.sleep(2)
    began, computed = time.perf_counter(), processor_seconds(pid)
    await asyncio.sleep(REST_SECONDS)
    share = 100 * (processor_seconds(pid) - computed) / (time.perf_counter() - began)
    await _remove(database, name)
    return share


async def _ours(opened: Stack, client: Any, seconds: float) -> list[float]:
    name, slots = f"due-{uuid4().hex[:8]}-", _slots(seconds)
    first = await _end_of(client, "PROMOS")
    database = await _make(opened, name, slots)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.sleep(LEAD_SECONDS + seconds)
        while await database.fetchval(_LEFT, name):
            await asyncio.sleep(0.5)
    await _remove(database, name)
    return await _lateness(client, "PROMOS", "promos.due", first)


async def _theirs(opened: Stack, client: Any, seconds: float) -> list[float]:
    first = await _end_of(client, RIVAL_STREAM)
    jobs = Jobs(nats_url=opened.outside.nats_url, subject=RIVAL_SUBJECT, slots=_slots(seconds))
    given = jobs.model_dump_json().encode()
    await command("bench.rivals.apscheduler_jobs", given, seconds=PATIENCE_SECONDS)
    return await _lateness(client, RIVAL_STREAM, RIVAL_SUBJECT, first)


def _slots(seconds: float) -> list[datetime]:
    begin = datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS)
    return [begin + timedelta(seconds=seconds * n / SCHEDULES) for n in range(SCHEDULES)]


async def _make(opened: Stack, name: str, slots: Sequence[datetime]) -> asyncpg.Connection:
    database = await asyncpg.connect(opened.system.database_url("scheduler"))
    await database.execute(_MAKE, name, slots)
    await database.execute("ANALYZE schedules")
    return database


async def _remove(database: asyncpg.Connection, name: str) -> None:
    await database.execute("DELETE FROM schedules WHERE name LIKE $1 || '%'", name)
    await database.close()


async def _end_of(client: Any, stream: str) -> int:
    return int((await client.jetstream().stream_info(stream)).state.last_seq)


async def _lateness(client: Any, stream: str, subject: str, behind: int) -> list[float]:
    """Return how many milliseconds after its slot each event was stored."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=behind + 1,
        max_ack_pending=2 * SCHEDULES,
    )
    reading = await client.jetstream().pull_subscribe(subject, stream=stream, config=config)
    found: list[float] = []
    while len(found) < SCHEDULES:
        for message in await reading.fetch(FETCH, timeout=10):
            slot = datetime.fromisoformat(json.loads(message.data)["slot"])
            found.append(1000 * (message.metadata.timestamp - slot).total_seconds())
    await reading.unsubscribe()
    return found
