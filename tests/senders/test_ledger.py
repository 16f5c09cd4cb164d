"""The ledger: a row per intended send, whoever comes, dies, wakes up or comes twice."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from services.senders.domain.policy import Again, Finish, in_doubt
from services.senders.domain.requests import Delivery, Request
from services.senders.store import Governor, Ledger, Proof
from shared.database import Database
from shared.events import Address, Body, Channel, Lane, MessageRequested, PromoRef, State
from shared.ids import delivery_of

_OVER = text("UPDATE deliveries SET lease_until = now() - interval '1 second' WHERE state = 'sending'")
_A_MINUTE_LATER = text("UPDATE deliveries SET due_at = due_at - interval '60 seconds'")
_ROW = text("SELECT * FROM deliveries")
ALERTS = (Channel.TELEGRAM, Lane.TRANSACTIONAL)
SENT = Finish(State.SENT, provider_message_id="77")


def request(lane: Lane = Lane.TRANSACTIONAL, **fields: Any) -> Request:
    """Return a request over Telegram, with some fields changed."""
    wanted = MessageRequested(
        id=uuid4(), at=datetime.now(UTC), channels=(Channel.TELEGRAM,), body=Body(text="Hello"),
        address=Address(telegram_chat_id=42), expires_at=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip
    return Request.of_message(wanted).model_copy(update={"lane": lane} | fields)


class Journey(RuleBasedStateMachine):
    """A message among handlers, rounds and crashes; `reached` lists the attempts that got to the provider."""

    runner: asyncio.Runner
    url: str

    def __init__(self) -> None:
        super().__init__()
        self._opened = Database.open(self.url, pool_size=2)
        self.database = self.run(self._opened.__aenter__())
        self.run(self.database.execute(text("TRUNCATE messages CASCADE")))
        self.ledger = Ledger(self.database, lease_seconds=60)
        self.claims: dict[int, Delivery] = {}
        self.reached: list[int] = []
        self.told: dict[str, Any] | None = None

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the machine's loop."""
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        """Close the database."""
        self.run(self._opened.__aexit__(None, None, None))

    @initialize(lane=st.sampled_from([Lane.TRANSACTIONAL, Lane.CAMPAIGN]))
    def begin(self, lane: Lane) -> None:
        """Accept a message."""
        self.request = request(lane)
        self.id = self.run(self.ledger.accept(self.request))
        assert self.id is not None

    @rule()
    def comes_again(self) -> None:
        """The stream delivers the request again: nothing that was attempted is worked on by that."""
        before = self.row()
        again = self.run(self.ledger.accept(self.request))
        assert (again is None) == (before["state"] != "pending" or before["attempt"] > 0)

    @rule()
    def claimed_and_sent(self) -> None:
        """Somebody claims; the call reaches the provider; the process stands still or dies there."""
        delivery = self.run(self.ledger.load(self.id))
        if delivery is None or delivery.cancelled:
            return
        attempt = self.run(self.ledger.claim(delivery, bot="default", chat_id=42))
        assert attempt == delivery.attempt + 1
        assert self.run(self.ledger.claim(delivery, bot="default", chat_id=42)) is None
        self.claims[attempt] = delivery
        self.reached.append(attempt)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), ends=st.sampled_from(["sent", "failed", "later"]))
    def answered(self, data: st.DataObject, ends: str) -> None:
        """An attempt, perhaps an old one, gets its answer written; only the one that counts may change it."""
        attempt = data.draw(st.sampled_from(sorted(self.claims)))
        delivery, before = self.claims.pop(attempt), self.row()
        if ends == "later":
            self.reached.remove(attempt)  # an answer that says: nothing happened
            self.run(self.ledger.wait(delivery, attempt, Again(0.0, "throttled")))
            assert before["state"] == "sending" or self.row() == before
            return
        end = SENT if ends == "sent" else Finish(State.FAILED, "rejected")
        ended, _ = self.run(self.ledger.finish(delivery, attempt, end))
        counts = ended is not None
        assert counts == (before["attempt"] == attempt and before["state"] in ("pending", "sending"))
        assert counts or self.row() == before

    @rule()
    def lease_over(self) -> None:
        """The lease of a claim passes, and the rounds decide by the lane's policy."""
        self.run(self.database.execute(_OVER))
        for delivery, attempt in self.run(self.ledger.abandoned()):
            decision = in_doubt(delivery, "crashed")
            if isinstance(decision, Again):
                self.run(self.ledger.wait(delivery, attempt, decision))
            else:
                self.run(self.ledger.finish(delivery, attempt, decision))
        assert self.row()["state"] != "sending"

    @rule(own=st.booleans())
    def pressed(self, own: bool) -> None:
        """A press settles what nobody has answered for, from its own chat only."""
        before = self.row()
        in_doubt = before["state"] in ("ambiguous", "sending") or (
            before["state"] == "pending" and before["resent"]
        )
        settled = self.run(self.ledger.settle([Proof(self.id, "default", 42 if own else 43, 9)]))
        assert settled == ([self.id] if own and in_doubt else [])

    @rule()
    def dies_and_is_replayed(self) -> None:
        """A dead letter fails what waits; its replay is the next attempt."""
        before = self.row()
        buried = self.run(self.ledger.bury(self.request))
        assert bool(buried) == (before["state"] == "pending")
        if buried:
            assert self.row()["reason"] == "dead_letter"
            assert self.run(self.ledger.accept(self.request, replay=True)) == self.id
            assert self.row()["attempt"] == before["attempt"] + 1

    @rule()
    def cancelled(self) -> None:
        """Somebody cancels: what waits ends, doubtful if it may have been sent; what is under way goes on."""
        before = self.row()
        ended = self.run(self.ledger.cancel_message(self.request.id))
        assert bool(ended) == (before["state"] == "pending")
        if ended:
            assert self.row()["state"] == ("ambiguous" if before["resent"] else "suppressed")
        else:
            assert self.row() == before

    @invariant()
    def lanes_keep_their_word(self) -> None:
        """A campaign reaches the provider once; a transactional message at most twice, and says so."""
        if not hasattr(self, "request"):
            return
        doubtful = len(self.reached)
        if self.request.lane is Lane.CAMPAIGN:
            assert doubtful <= 1
        assert doubtful <= 2
        assert doubtful < 2 or self.row()["resent"]

    def row(self) -> dict[str, Any]:
        """Return the only delivery as it stands, without its clock's values."""
        (row,) = self.run(self.database.rows(_ROW))
        return {name: value for name, value in row.items() if name not in ("due_at", "updated_at")}


async def test_any_order_of_events_leaves_one_true_row(
    fresh_database: Callable[[str], Awaitable[str]],
) -> None:
    """Redelivery, crash after the claim, leases over, zombies, presses and dead letters in any order."""
    url = await fresh_database("senders")

    def walk() -> None:
        with asyncio.Runner() as runner:
            machine = type("Walk", (Journey,), {"runner": runner, "url": url})
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=25, stateful_step_count=14, deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )  # fmt: skip

    await asyncio.to_thread(walk)


async def test_the_chain_that_was_accepted_counts(database: Database) -> None:
    """A request that comes again with another chain, its recipient's new one, changes nothing."""
    ledger, first = Ledger(database, lease_seconds=60), request(channels=(Channel.PUSH, Channel.EMAIL))
    again = first.model_copy(update={"channels": (Channel.EMAIL, Channel.PUSH)})
    delivery_id = await ledger.accept(first)
    assert await ledger.accept(again) == delivery_id
    for known in (first, again):
        delivery = await ledger.load(delivery_id or uuid4(), known)
        assert delivery
        assert delivery.request.channels == first.channels


async def test_handler_and_rounds_claim_once(database: Database) -> None:
    """Of many that work on one delivery at once, one claims it."""
    ledger = Ledger(database, lease_seconds=60)
    delivery_id = await ledger.accept(request())
    assert delivery_id
    delivery = await ledger.load(delivery_id)
    assert delivery
    claims = await asyncio.gather(*(ledger.claim(delivery, bot="default", chat_id=42) for _ in range(8)))
    assert sorted(claims, key=str) == [1, *[None] * 7]


async def test_a_new_delivery_is_held_by_its_handler(database: Database) -> None:
    """The rounds leave alone what a handler works on, and take it up when that has gone silent."""
    ledger = Ledger(database, lease_seconds=60, hold_seconds=60)
    delivery_id = await ledger.accept(request())
    assert await ledger.take_due({ALERTS: 10}) == []
    await database.execute(_A_MINUTE_LATER)
    assert await ledger.take_due({(Channel.EMAIL, Lane.TRANSACTIONAL): 10}) == []
    assert await ledger.take_due({ALERTS: 10}) == [(ALERTS, delivery_id)]
    assert await ledger.take_due({ALERTS: 10}) == []


async def test_replicas_share_what_is_due(database: Database) -> None:
    """What two rounds take at the same time, each takes for itself."""
    ledger = Ledger(database, lease_seconds=60)
    past = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(40):
        assert await ledger.accept(request(not_before=past)) is None
    taken = await asyncio.gather(*(ledger.take_due({ALERTS: 15}) for _ in range(4)))
    ids = [each for part in taken for each in part]
    assert len(ids) == len(set(ids)) == 40


async def test_no_time_of_a_row_stops_the_rounds(database: Database) -> None:
    """What is due since for ever, in a row that some other program wrote, is taken like any other."""
    ledger = Ledger(database, lease_seconds=60)
    past = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(2):
        await ledger.accept(request(not_before=past))
    await database.execute(
        text("UPDATE deliveries SET due_at = '-infinity' WHERE id = (SELECT id FROM deliveries LIMIT 1)")
    )
    assert len(await ledger.take_due({ALERTS: 10})) == 2


async def test_a_higher_lane_is_taken_first_from_a_backlog(database: Database) -> None:
    """With 3000 campaign rows waiting longer, an alert that is due comes first, found by an index."""
    ledger = Ledger(database, lease_seconds=60)
    past = datetime.now(UTC) - timedelta(minutes=1)
    first = request(Lane.CAMPAIGN, not_before=past)
    await ledger.accept(first)
    await database.execute(
        text("""
            WITH more AS (
                INSERT INTO messages (id, lane, request, expires_at)
                SELECT gen_random_uuid(), lane, request, expires_at FROM messages, generate_series(1, 3000)
                RETURNING id)
            INSERT INTO deliveries (id, message_id, channel, position, lane_rank, state, due_at)
            SELECT gen_random_uuid(), id, 'telegram', 0, 2, 'pending', now() - interval '1 minute'
            FROM more""")
    )
    await database.execute(text("ANALYZE deliveries"))
    alert = request(not_before=datetime.now(UTC) - timedelta(seconds=1))
    await ledger.accept(alert)
    campaigns = Channel.TELEGRAM, Lane.CAMPAIGN
    taken = await ledger.take_due({campaigns: 5, ALERTS: 5})
    row = await database.row(text("SELECT message_id FROM deliveries WHERE id = :id"), id=taken[0][1])
    assert row
    assert row["message_id"] == alert.id
    assert [bench for bench, _ in taken] == [ALERTS, *[campaigns] * 5]
    plan = await database.rows(
        text("""EXPLAIN SELECT id FROM deliveries WHERE state = 'pending' AND channel = 'telegram'
                AND lane_rank = 2 AND due_at <= now() ORDER BY due_at LIMIT 5 FOR UPDATE SKIP LOCKED""")
    )
    assert "deliveries_due" in str(plan)
    assert "Sort" not in str(plan)


async def test_a_first_attempt_waits_for_those_before_it(database: Database) -> None:
    """It waits until those that came before to its address and lane have been attempted, and no longer."""
    ledger = Ledger(database, lease_seconds=60)
    soon = datetime.now(UTC) + timedelta(seconds=30)

    async def behind(each: Request) -> int:
        found = await ledger.load(delivery_of(each.id, Channel.TELEGRAM))
        assert found
        return found.behind

    timed, first, second = request(not_before=soon), request(), request()
    other, campaign = request(address=Address(telegram_chat_id=43)), request(Lane.CAMPAIGN)
    elsewhere = request(bot="other")
    for sequence, each in enumerate((timed, first, other, campaign, elsewhere, second), 1):
        await ledger.accept(each, sequence=sequence)
    assert [await behind(each) for each in (first, second, other, campaign, elsewhere)] == [0, 1, 0, 0, 0]
    waiting = await ledger.load(delivery_of(first.id, Channel.TELEGRAM))
    assert waiting
    await ledger.postpone(waiting, 30, "rate_limit")
    assert await behind(second) == 1
    attempt = await ledger.claim(waiting, bot="default", chat_id=42)
    assert attempt
    assert await behind(second) == 1
    await ledger.wait(waiting, attempt, Again(30, "throttled"))
    assert await behind(second) == 0


async def test_a_hanging_first_attempt_holds_the_next_back_for_a_moment_only(database: Database) -> None:
    """What is under way has two seconds to arrive first."""
    ledger = Ledger(database, lease_seconds=60)
    first, second = request(), request()
    for sequence, each in enumerate((first, second), 1):
        await ledger.accept(each, sequence=sequence)
    hanging = await ledger.load(delivery_of(first.id, Channel.TELEGRAM))
    assert hanging
    await ledger.claim(hanging, bot="default", chat_id=42)
    await database.execute(text("UPDATE deliveries SET updated_at = now() - interval '3 seconds'"))
    found = await ledger.load(delivery_of(second.id, Channel.TELEGRAM))
    assert found
    assert found.behind == 0


async def test_no_attempt_is_claimed_during_a_pause(database: Database) -> None:
    """A slot that was reserved before a pause is not used in it, by no replica; a released claim is free."""
    ledger, governor = Ledger(database, lease_seconds=60), Governor(database)
    delivery_id = await ledger.accept(request())
    assert delivery_id
    delivery = await ledger.load(delivery_id)
    assert delivery
    await governor.pause_key("chat:default:42", 60)
    keys = ["bot:default", "chat:default:42"]
    assert await ledger.claim(delivery, bot="default", chat_id=42, keys=keys) is None
    assert await ledger.claim(delivery, bot="default", chat_id=42, keys=keys[:1]) == 1
    await ledger.release(delivery, 1)
    await database.execute(text("UPDATE governor SET paused_until = paused_until - interval '60 seconds'"))
    assert await ledger.claim(delivery, bot="default", chat_id=42, keys=keys) == 1


async def test_a_retry_waits_its_time(database: Database) -> None:
    """not_before and a retry's seconds keep a delivery from being due."""
    ledger = Ledger(database, lease_seconds=60)
    later = request(not_before=datetime.now(UTC) + timedelta(seconds=30))
    assert await ledger.accept(later) is None
    assert await ledger.accept(later) is None
    assert await ledger.take_due({ALERTS: 10}) == []


def promo(schedule_id: UUID, slot: datetime, promo_id: str = "one") -> Request:
    """Return a post's request."""
    return request(Lane.PROMO, promo=PromoRef(schedule_id=schedule_id, slot=slot, promo_id=promo_id))


async def test_a_cancellation_reaches_those_that_are_meant(database: Database) -> None:
    """Posts of that schedule and promo up to that slot are cancelled, before and after they come."""
    ledger, schedule, slot = Ledger(database, lease_seconds=60), uuid4(), datetime(2026, 3, 1, tzinfo=UTC)
    waiting, other = promo(schedule, slot), promo(schedule, slot, "two")
    later, foreign = promo(schedule, slot + timedelta(hours=1)), promo(uuid4(), slot)
    ids = {each.id: await ledger.accept(each) for each in (waiting, other, later, foreign)}
    event_id = uuid4()
    assert await ledger.cancel_promos(event_id, schedule, "one", slot) == [ids[waiting.id]]
    assert await ledger.cancel_promos(event_id, schedule, "one", slot) == []
    comes_later = promo(schedule, slot - timedelta(hours=1))
    found = await ledger.load(await ledger.accept(comes_later) or uuid4())
    assert found
    assert found.cancelled
    for untouched in (other, later, foreign):
        found = await ledger.load(ids[untouched.id] or uuid4())
        assert found
        assert not found.cancelled
