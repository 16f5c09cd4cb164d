"""The governor: one budget for every replica, held by the database and its clock."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.senders.domain.limits import (
    SPACING,
    Bearing,
    Limit,
    Limits,
    Reach,
    Reservation,
    reaching,
    reserve,
)
from services.senders.store import Governor
from shared.database import Database
from shared.events import Lane

BOT = "bot:default"
T = TypeVar("T")
_STILL_THIS_SECOND = text(
    "UPDATE governor SET paused_at = now() + interval '1 minute' WHERE key LIKE 'chat:%'"
)


def most_in_a_window(moments: list[float], seconds: float) -> int:
    """Return how many of the moments the fullest window of that length holds."""
    ordered = sorted(moments)
    return max(sum(1 for each in ordered if start <= each < start + seconds) for start in ordered)


@given(
    rate=st.integers(1, 30),
    burst=st.integers(1, 5),
    steps=st.lists(st.floats(0, 0.3), min_size=1, max_size=120),
    ahead=st.floats(0, 2),
)
def test_no_window_holds_more_than_rate_and_burst(
    rate: int, burst: int, steps: list[float], ahead: float
) -> None:
    """Whenever slots are asked for, any second holds at most rate + burst of those given."""
    limit = Limit.per("key", rate, 1.0, burst)
    now, tat, given_at = 0.0, 0.0, [-10.0]
    for step in steps:
        now += step
        answer, tat = reserve(tat, now, limit, ahead)
        if answer.go:
            given_at.append(now + answer.wait)
    assert most_in_a_window(given_at, 1.0 - 1e-9) <= rate + burst


@given(steps=st.lists(st.floats(0, 10), min_size=1, max_size=100))
def test_a_group_gets_at_most_its_rate_in_any_minute(steps: list[float]) -> None:
    """A group gets no more than 20 messages in any 60 seconds, burst included."""
    limit = Limits().chat("default", -5)
    now, tat, given_at = 0.0, 0.0, [-100.0]
    for step in steps:
        now += step
        answer, tat = reserve(tat, now, limit, 60.0)
        if answer.go:
            given_at.append(now + answer.wait)
    assert most_in_a_window(given_at, 60.0) <= 20


@given(
    rate=st.integers(1, 30),
    delays=st.lists(st.tuples(st.floats(0, 4), st.floats(0, 1)), min_size=30, max_size=150),
)
def test_sends_that_come_late_crowd_no_window(rate: int, delays: list[tuple[float, float]]) -> None:
    """However late a process uses its slots, and whatever the way varies by, no second holds a send too many.

    A delay is in slots: a slot that has passed is given up. The way to the provider varies within the margin
    that the spacing leaves.
    """
    limit, margin, tat, arrivals = Limit.per("key", rate, 1.0), SPACING - 1.0, 0.0, [-10.0]
    for delay, way in delays:
        answer, tat = reserve(tat, 0.0, limit, 1e9)
        if delay * limit.interval <= limit.late:
            arrivals.append(answer.wait + delay * limit.interval + way * margin)
    assert most_in_a_window(arrivals, 1.0 - 1e-9) <= rate + 1


@given(
    offset=st.floats(-1e6, 1e6),
    steps=st.lists(st.tuples(*[st.floats(0, 0.5)] * 3), min_size=1, max_size=30),
    set_by=st.sampled_from([0.0, 0.0, 3600.0, -3600.0]),
)
def test_the_bearing_of_another_clock_holds_the_truth(
    offset: float, steps: list[tuple[float, float, float]], set_by: float
) -> None:
    """However long answers take, the bounds hold the clocks' distance; a clock that was set is refound."""
    bearing, now = Bearing(), 0.0
    for number, (pause, there, back) in enumerate(steps):
        if number == len(steps) // 2:
            offset += set_by
        asked = now + pause
        now = asked + there + back
        bearing.take(asked, asked + there - offset, now)
    assert bearing.least - 1e-6 <= offset <= bearing.most + 1e-6
    assert bearing.most - bearing.least <= sum(steps[-1][1:]) + 1e-6


def lanes_at_work(seconds: float, backlogs: dict[Lane, bool], seed: int) -> list[tuple[Lane, float, float]]:
    """Let lanes reserve on one limit; return lane, time and wait of each slot given."""
    chance, limits, given_slots = random.Random(seed), Limits(), []  # noqa: S311 - chance in a test
    shared = limits.bot("default")
    tat, shares, now = 0.0, dict.fromkeys(Lane, 0.0), 0.0
    while now < seconds:
        now += chance.uniform(0.001, 0.01)
        for lane in chance.sample(list(Lane), 3):
            reach = limits.reach(lane, shared)
            ahead, share_tat = reaching(shares[lane], now, reach)
            answer, after = reserve(tat, now, shared, ahead)
            if answer.go and (backlogs[lane] or (lane is Lane.TRANSACTIONAL and chance.random() < 0.002)):
                tat, shares[lane] = after, share_tat
                given_slots.append((lane, now, answer.wait))
    return given_slots


@pytest.mark.parametrize("seed", range(3))
def test_lower_lanes_keep_their_share_of_a_busy_budget(seed: int) -> None:
    """Whatever waits above them, promos and campaigns each get a twentieth, and no slot is left unused."""
    slots = lanes_at_work(100, dict.fromkeys(Lane, True), seed)
    count = Counter(lane for lane, _, _ in slots)
    assert count[Lane.CAMPAIGN] >= 0.05 * 20 * 100
    assert count[Lane.PROMO] >= 0.05 * 20 * 100
    assert count[Lane.TRANSACTIONAL] >= 0.85 * len(slots)
    assert len(slots) >= 0.97 * 20 * 100


@pytest.mark.parametrize("seed", range(3))
def test_a_higher_lane_is_served_first(seed: int) -> None:
    """Promos go before campaigns, which are left their share; an alert waits for three slots at most."""
    slots = lanes_at_work(100, {Lane.TRANSACTIONAL: False, Lane.PROMO: True, Lane.CAMPAIGN: True}, seed)
    count = Counter(lane for lane, _, _ in slots)
    assert 0.05 * 20 * 100 <= count[Lane.CAMPAIGN] <= 0.08 * 20 * 100
    alone = lanes_at_work(100, {Lane.TRANSACTIONAL: False, Lane.PROMO: False, Lane.CAMPAIGN: True}, seed)
    waits = [wait for lane, _, wait in alone if lane is Lane.TRANSACTIONAL]
    assert waits
    assert max(waits) <= 3 * Limits().bot("default").interval


async def _spend(url: str, limit: Limit, until: float, ahead: float) -> list[tuple[float, float]]:
    """Ask for slots on a connection of its own, as a replica does; return between which times each lies."""
    moments: list[tuple[float, float]] = []
    async with Database.open(url, pool_size=4) as database:
        governor = Governor(database)
        while (asked_at := time.monotonic()) < until:
            answer = await governor.reserve([limit], Reach(ahead))
            if answer.go:
                moments.append((asked_at + answer.wait, time.monotonic() + answer.wait))
            await asyncio.sleep(min(0.01, answer.wait))
    return moments


async def test_replicas_share_one_budget(fresh_database: Callable[[str], Awaitable[str]]) -> None:
    """The slots of three replicas together are those of one limit, however they share them out."""
    url, limit, until = await fresh_database("senders"), Limit.per(BOT, 40, 1.0), time.monotonic() + 2.0
    spent = await asyncio.gather(*(_spend(url, limit, until, ahead) for ahead in (0.1, 0.3, 1.0)))
    moments = [moment for each in spent for moment in each]
    lasted = max(latest for _, latest in moments) - min(earliest for earliest, _ in moments)
    assert len(moments) - 1 <= lasted / limit.interval + 0.01


async def at_once(asked: Callable[[str], Awaitable[T]]) -> T:
    """Return what a bot is answered before its next slot is there; ask for others until it came to that."""
    for number in range(100):
        began = time.monotonic()
        answers = await asked(f"bot{number}")
        if time.monotonic() - began < 0.15:
            return answers
    pytest.fail("the machine never kept up")


async def test_a_lower_lane_takes_its_share_from_a_backlog(database: Database) -> None:
    """Where alerts have reserved as far as they may, a campaign that had nothing yet still gets a slot."""
    governor, limits = Governor(database), Limits(bot_per_second=5)

    async def asked(name: str) -> list[Reservation]:
        bot = limits.bot(name)
        while (await governor.reserve([bot], limits.reach(Lane.TRANSACTIONAL, bot))).go:
            pass
        reach = limits.reach(Lane.CAMPAIGN, bot)
        return [await governor.reserve([bot], each) for each in (Reach(reach.ahead), reach, reach)]

    without_share, first, later = await at_once(asked)
    assert [each.go for each in (without_share, first, later)] == [False, True, False]
    assert later.wait < first.wait


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.builds(
        lambda count, burst: Limit.per(BOT, count, 1.0, burst), st.floats(0.5, 30), st.integers(1, 4)
    ),
    backlog=st.floats(-5, 5),
    ahead=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_sql_reserves_as_the_arithmetic_does(
    governed: Callable[[Limit, float, float], tuple[bool, float, float, float]],
    limit: Limit,
    backlog: float,
    ahead: float,
) -> None:
    """The statement answers as the pure function, and leaves the same tat behind."""
    go, wait, tat, took = governed(limit, backlog, ahead)
    answer, expected = reserve(backlog, 0.0, limit, ahead)
    if abs(answer.wait - ahead) > took:  # the database's clock runs on between two statements
        assert go == answer.go
        assert wait == pytest.approx(answer.wait, abs=took)
        assert tat == pytest.approx(expected, abs=took)


@pytest.fixture
def governed(
    fresh_database: Callable[[str], Awaitable[str]],
) -> Iterator[Callable[[Limit, float, float], tuple[bool, float, float, float]]]:
    """Return a function that reserves in the database, from a tat so many seconds from now."""
    with asyncio.Runner() as runner:
        url = runner.run(fresh_database("senders"))
        connection = runner.run(asyncpg.connect(url))
        opened = Database.open(url, pool_size=1)
        governor = Governor(runner.run(opened.__aenter__()))

        async def once(limit: Limit, backlog: float, ahead: float) -> tuple[bool, float, float, float]:
            await governor.reserve([limit], Reach(0.0))
            # `begun` is the moment from which the backlog counts.
            begun = await connection.fetchval(
                "UPDATE governor SET tat = clock_timestamp() + make_interval(secs => $1)"
                " RETURNING tat - make_interval(secs => $1)", backlog,
            )  # fmt: skip
            answer = await governor.reserve([limit], Reach(ahead))
            tat, now = await connection.fetchrow(
                "SELECT tat, clock_timestamp() FROM governor WHERE key = $1", limit.key
            )
            return answer.go, answer.wait, (tat - begun).total_seconds(), (now - begun).total_seconds()

        yield lambda *asked: runner.run(once(*asked))
        runner.run(opened.__aexit__(None, None, None))
        runner.run(connection.close())


async def test_a_pause_holds_for_every_replica(database: Database) -> None:
    """What one replica hears of a chat keeps the others off that chat, and off no other."""
    limits, here, there = Limits(), Governor(database), Governor(database)
    chat, other = limits.chat("default", 42), limits.chat("default", 43)
    bot = limits.bot("default")
    await there.reserve([bot, chat], Reach(1.0))
    assert not await here.pause(chat.key, 300, bot_key=bot.key, chat_prefix="chat:default:")
    refused = await there.reserve([bot, chat], Reach(1.0))
    assert not refused.go
    assert 200 < refused.wait <= 300
    assert (await there.reserve([bot, other], Reach(1.0))).go


async def test_several_throttled_chats_pause_the_bot(database: Database) -> None:
    """When a second chat is throttled within a second the whole bot pauses, and another bot does not."""
    limits, governor = Limits(), Governor(database)
    bot = limits.bot("default")
    for chat_id in (42, 43):
        await governor.reserve([bot, limits.chat("default", chat_id)], Reach(1.0))
    chats = [limits.chat("default", chat_id).key for chat_id in (42, 43)]
    for chat, whole_bot in zip(chats, (False, True), strict=True):
        told = await governor.pause(chat, 300, bot_key=bot.key, chat_prefix="chat:default:")
        assert told is whole_bot
        await database.execute(_STILL_THIS_SECOND)
    assert not (await governor.reserve([bot, limits.chat("default", 44)], Reach(1.0))).go
    assert (await governor.reserve([limits.bot("other"), limits.chat("other", 44)], Reach(1.0))).go


async def test_a_pause_ends_without_a_burst(database: Database) -> None:
    """After a pause slots come at the rate, not all that was missed at once."""
    governor, limit = Governor(database), Limit.per(BOT, 20, 1.0)
    await governor.pause_key(BOT, 30.0)
    earliest, latest = [], []
    for _ in range(5):
        asked_at = time.monotonic()
        wait = (await governor.reserve([limit], Reach(60.0))).wait
        earliest.append(asked_at + wait)
        latest.append(time.monotonic() + wait)
    assert wait > 10
    assert latest[-1] - earliest[0] > 0.15


async def test_a_lower_lane_reserves_two_slots_ahead_at_most(database: Database) -> None:
    """Whatever the backlog of campaigns, an alert waits for two of their slots at most."""
    governor, limits = Governor(database), Limits(bot_per_second=5)
    bot, began = limits.bot("default"), time.monotonic()
    reserved = [await governor.reserve([bot], limits.reach(Lane.CAMPAIGN, bot)) for _ in range(20)]
    assert sum(answer.go for answer in reserved) <= 3 + (time.monotonic() - began) / bot.interval
    alert = await governor.reserve([bot], limits.reach(Lane.TRANSACTIONAL, bot))
    assert alert.go
    assert alert.wait <= 3 * bot.interval


async def test_a_busy_chat_takes_no_slot_of_the_bot(database: Database) -> None:
    """A chat that has to wait leaves the bot's slot to the next."""
    governor, limits = Governor(database), Limits(bot_per_second=10, group_per_minute=2)
    bot, chat = limits.bot("default"), limits.chat("default", -5)
    assert (await governor.reserve([bot, chat], Reach(1.0))).go
    assert not any([(await governor.reserve([bot, chat], Reach(1.0))).go for _ in range(5)])
    free = await governor.reserve([bot, limits.chat("default", 42)], Reach(1.0))
    assert free.go
    assert free.wait <= 0.1


async def test_an_emptied_table_stops_nobody(database: Database) -> None:
    """Keys that vanish are added again."""
    governor, bot = Governor(database), Limits().bot("default")
    assert (await governor.reserve([bot], Reach(1.0))).go
    await database.execute(text("DELETE FROM governor"))
    await governor.reserve([bot], Reach(1.0))
    assert (await governor.reserve([bot], Reach(1.0))).go
