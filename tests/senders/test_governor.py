"""The governor: one budget for every replica, held by the database and its clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.senders.domain.limits import Limit, Limits, reserve
from services.senders.store import Governor
from shared.database import Database
from shared.events import Lane

BOT = "bot:default"


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
        assert answer.go == (answer.wait <= ahead)
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


async def _spend(url: str, keys: list[Limit], until: float, ahead: float) -> list[float]:
    """Ask for slots on a connection of its own, as a replica does; return when they were to be used."""
    moments: list[float] = []
    async with Database.open(url, pool_size=4) as database:
        governor = Governor(database)
        while time.monotonic() < until:
            answer = await governor.reserve(keys, ahead=ahead)
            if answer.go:
                moments.append(time.monotonic() + answer.wait)
            await asyncio.sleep(min(0.01, answer.wait))
    return moments


async def test_replicas_share_one_budget(fresh_database: Callable[[str], Awaitable[str]]) -> None:
    """Three replicas together keep the rate of the bot in every second, and use nearly all of it."""
    url, seconds = await fresh_database("senders"), 2.5
    limit, until = Limit.per(BOT, 40, 1.0), time.monotonic() + seconds
    spent = await asyncio.gather(*(_spend(url, [limit], until, ahead) for ahead in (0.1, 0.3, 1.0)))
    moments = [moment for each in spent for moment in each]
    # Two clocks meet here, so a little is allowed for the way between them.
    assert most_in_a_window(moments, 0.95) <= 40 + 1
    assert len(moments) >= 0.9 * 40 * seconds
    assert all(each for each in spent)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.builds(
        lambda count, burst: Limit.per(BOT, count, 1.0, burst), st.floats(0.5, 30), st.integers(1, 4)
    ),
    backlog=st.floats(-5, 5),
    ahead=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_sql_reserves_as_the_arithmetic_does(
    governed: Callable[[Limit, float, float], tuple[bool, float, float]],
    limit: Limit,
    backlog: float,
    ahead: float,
) -> None:
    """The statement answers as the pure function, and leaves the same tat behind."""
    go, wait, tat = governed(limit, backlog, ahead)
    answer, expected = reserve(backlog, 0.0, limit, ahead)
    if abs(answer.wait - ahead) > 0.05:  # the database's clock runs on between two statements
        assert go == answer.go
        assert wait == pytest.approx(answer.wait, abs=0.05)
        assert tat == pytest.approx(expected, abs=0.05)


@pytest.fixture
def governed(
    fresh_database: Callable[[str], Awaitable[str]],
) -> Iterator[Callable[[Limit, float, float], tuple[bool, float, float]]]:
    """Return a function that reserves in the database, from a tat so many seconds from now."""
    with asyncio.Runner() as runner:
        url = runner.run(fresh_database("senders"))
        connection = runner.run(asyncpg.connect(url))
        opened = Database.open(url, pool_size=1)
        governor = Governor(runner.run(opened.__aenter__()))

        async def once(limit: Limit, backlog: float, ahead: float) -> tuple[bool, float, float]:
            await governor.reserve([limit], ahead=0.0)
            # `begun` is the moment from which the backlog counts.
            begun = await connection.fetchval(
                "UPDATE governor SET tat = clock_timestamp() + make_interval(secs => $1)"
                " RETURNING tat - make_interval(secs => $1)", backlog,
            )  # fmt: skip
            answer = await governor.reserve([limit], ahead=ahead)
            tat = await connection.fetchval("SELECT tat FROM governor WHERE key = $1", limit.key)
            return answer.go, answer.wait, (tat - begun).total_seconds()

        yield lambda *asked: runner.run(once(*asked))
        runner.run(opened.__aexit__(None, None, None))
        runner.run(connection.close())


async def test_a_pause_holds_for_every_replica(database: Database) -> None:
    """What one replica hears of a chat keeps the others off that chat, and off no other."""
    limits, here, there = Limits(), Governor(database), Governor(database)
    chat, other = limits.chat("default", 42), limits.chat("default", 43)
    bot = limits.bot("default")
    await there.reserve([bot, chat], ahead=1.0)
    assert not await here.pause(chat.key, 30, bot_key=bot.key, chat_prefix="chat:default:")
    refused = await there.reserve([bot, chat], ahead=1.0)
    assert not refused.go
    assert 28 < refused.wait <= 30
    assert (await there.reserve([bot, other], ahead=1.0)).go


async def test_several_throttled_chats_pause_the_bot(database: Database) -> None:
    """When a second chat is throttled within a second the whole bot pauses, and another bot does not."""
    limits, governor = Limits(), Governor(database)
    bot = limits.bot("default")
    for chat_id in (42, 43):
        await governor.reserve([bot, limits.chat("default", chat_id)], ahead=1.0)
    chats = [limits.chat("default", chat_id).key for chat_id in (42, 43)]
    paused = [await governor.pause(chat, 30, bot_key=bot.key, chat_prefix="chat:default:") for chat in chats]
    assert paused == [False, True]
    assert not (await governor.reserve([bot, limits.chat("default", 44)], ahead=1.0)).go
    assert (await governor.reserve([limits.bot("other"), limits.chat("other", 44)], ahead=1.0)).go


async def test_a_pause_ends_without_a_burst(database: Database) -> None:
    """After a pause slots come at the rate, not all that was missed at once."""
    governor, limit = Governor(database), Limit.per(BOT, 20, 1.0)
    await governor.pause_key(BOT, 3.0)
    began = time.monotonic()
    moments = [(await governor.reserve([limit], ahead=5.0)).wait + time.monotonic() - began for _ in range(5)]
    assert moments[0] > 2.0
    assert moments[-1] - moments[0] > 0.15


async def test_a_lower_lane_reserves_two_slots_ahead_at_most(database: Database) -> None:
    """Whatever the backlog of campaigns, an alert waits for two of their slots at most."""
    governor, limits = Governor(database), Limits(bot_per_second=5)
    bot = limits.bot("default")
    reserved = [await governor.reserve([bot], ahead=limits.ahead(Lane.CAMPAIGN, bot)) for _ in range(20)]
    assert sum(answer.go for answer in reserved) <= 3
    alert = await governor.reserve([bot], ahead=limits.ahead(Lane.TRANSACTIONAL, bot))
    assert alert.go
    assert alert.wait <= 3 / 5


async def test_a_busy_chat_takes_no_slot_of_the_bot(database: Database) -> None:
    """A chat that has to wait leaves the bot's slot to the next."""
    governor, limits = Governor(database), Limits(bot_per_second=10)
    bot, chat = limits.bot("default"), limits.chat("default", -5)
    assert (await governor.reserve([bot, chat], ahead=1.0)).go
    assert not any([(await governor.reserve([bot, chat], ahead=1.0)).go for _ in range(5)])
    free = await governor.reserve([bot, limits.chat("default", 42)], ahead=1.0)
    assert free.go
    assert free.wait <= 0.1


async def test_an_emptied_table_stops_nobody(database: Database) -> None:
    """Keys that vanish are added again."""
    governor, bot = Governor(database), Limits().bot("default")
    assert (await governor.reserve([bot], ahead=1.0)).go
    await database.execute(text("DELETE FROM governor"))
    await governor.reserve([bot], ahead=1.0)
    assert (await governor.reserve([bot], ahead=1.0)).go
