"""Any order of commands, edits, crashes, redeliveries and clock steps keeps slots and turns true."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from services.scheduler.clock import Clock
from services.scheduler.domain.catalogue import SHIPPED, Draft, Promo
from services.scheduler.domain.rotation import Turn, next_promo
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE, Wanted
from services.scheduler.domain.timing import Cron, Every
from services.scheduler.store import Catalogue, NotActive, Saved, Schedules, Slots
from services.scheduler.store.rows import select_promos
from shared.database import Database
from shared.events import Event, PromoCancelled, PromoDue, SlotSkipped
from shared.queries import PromoView
from tests.conftest import FreshDatabase
from tests.scheduler.conftest import HOUR, START, TEXTS, WANTED, World

NAMES = st.sampled_from([promo.id for promo in SHIPPED])
TIMINGS = st.sampled_from([Every(HOUR), Every(4 * HOUR), Cron("30 */3 * * *", "Europe/Madrid")])
CHATS = st.sampled_from([(), (7,), (-1001234567890123, 42)])


class Life(RuleBasedStateMachine):
    """A scheduler of two replicas over one database, and everything that may happen to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, database: Database) -> None:
        super().__init__()
        self.loop, self.database = loop, database
        self.schedules, self.catalogue = Schedules(database), Catalogue(database)
        self.world = World()
        self.clocks = [Clock(Slots(database), self.world.publish, lambda: self.world.now) for _ in range(2)]
        self.decided: dict[datetime, dict[str, Any]] = {}
        self.turn: Turn | None = None
        self.stops = 0
        self.done: list[tuple[str, UUID]] = []

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        tables = "promos, schedules, commands, cancellations, slots"
        self.run(self.database.execute(text(f"TRUNCATE {tables}")))
        self.run(self.schedules.settle_default(WANTED, TEXTS, START))

    @rule(crashes=st.sampled_from([0, 0, 0, 1, 2]), both=st.booleans())
    def tick(self, crashes: int, both: bool) -> None:
        """Both clocks look, or one; a crash may stop them in the middle of announcing."""
        before = self.run(self._state())
        self.world.fails = crashes
        self.run(self._tick(self.clocks if both else self.clocks[:1]))
        self.world.fails = 0
        self.run(self._look(before))

    @rule(hours=st.sampled_from([0.5, 1, 1, 4, 9, -1, -5]))
    def step(self, hours: float) -> None:
        """Time goes on, or the clock is set."""
        self.world.now += hours * HOUR

    @rule()
    def start(self) -> None:
        self._command("start", uuid4())

    @rule()
    def stop(self) -> None:
        self._command("stop", uuid4())

    @rule()
    def redeliver(self) -> None:
        """A command that has been done comes again: it changes nothing."""
        if self.done:
            before = self.run(self._state())
            self._command(*self.done[0])
            assert self.run(self._state()) == before

    @rule(hours=st.sampled_from([None, 2, 10]))
    def pause(self, hours: float | None) -> None:
        before = self.run(self._state())
        until = None if hours is None else self.world.now + hours * HOUR
        try:
            self.run(self.schedules.pause(DEFAULT_SCHEDULE, until, uuid4(), self.world.now))
        except NotActive:
            assert not before["active"]
        self.run(self._look(before))

    @rule(timing=TIMINGS, chats=CHATS, chosen=st.none() | st.lists(NAMES, unique=True, max_size=2))
    def edit(self, timing: Any, chats: tuple[int, ...], chosen: list[str] | None) -> None:
        before = self.run(self._state())

        def rewrite(wanted: Wanted) -> Wanted:
            named = None if chosen is None else tuple(chosen)
            return replace(wanted, timing=timing, chat_ids=chats, promo_ids=named)

        self.run(self.schedules.edit(DEFAULT_SCHEDULE, rewrite, uuid4(), self.world.now))
        # What had come is decided with the new chats and promos.
        self.run(self._look({**before, "promo_ids": chosen, "chat_ids": list(chats)}))

    @rule(name=NAMES, enabled=st.booleans())
    def enable(self, name: str, enabled: bool) -> None:
        def rewrite(view: PromoView) -> Saved:
            row = next(each for each in SHIPPED if each.id == view.id)
            draft = Draft(row.title, row.cta_text, row.payload, template=row.id)
            return Saved(draft, view.text, enabled, view.position)

        self.run(self.catalogue.edit(name, rewrite, uuid4(), self.world.now))

    @rule(name=NAMES)
    def reorder(self, name: str) -> None:
        self.run(self.catalogue.reorder([name], uuid4(), self.world.now))

    @invariant()
    def an_event_is_always_told_the_same(self) -> None:
        """Whoever announces, and however often: the same id says the same."""
        told: dict[UUID, Event] = {}
        for event in self.world.events:
            assert told.setdefault(event.id, event) == event

    def teardown(self) -> None:
        """In the end the world knows of every decision, and of every stop."""
        if not self.decided and self.world.events == []:
            return
        self.tick(crashes=0, both=True)
        due = {(event.slot, event.chat_id) for event in self.world.of(PromoDue)}
        skipped = {event.slot for event in self.world.of(SlotSkipped)}
        posted = {slot: row for slot, row in self.decided.items() if row["skipped"] is None}
        assert due == {(slot, chat) for slot, row in posted.items() for chat in row["chat_ids"]}
        assert skipped == set(self.decided) - set(posted)
        waiting = self.run(self.database.value(
            text("SELECT count(*) FROM cancellations WHERE announced_at IS NULL")
        ))  # fmt: skip
        assert waiting == 0
        assert (self.stops > 0) <= bool(self.world.of(PromoCancelled))

    def _command(self, command: str, cause: UUID) -> None:
        before = self.run(self._state())
        act: Callable[..., Awaitable[Any]] = getattr(self.schedules, command)
        answer = self.run(act(DEFAULT_SCHEDULE, cause, self.world.now))
        again = (command, cause) in self.done
        assert again or answer.schedule.active is (command == "start")
        assert again or answer.changed is (before["active"] is not (command == "start"))
        self.stops += command == "stop" and answer.changed and not again
        self.done.append((command, cause))
        self.run(self._look({**before, "active": False}))

    async def _tick(self, clocks: list[Clock]) -> None:
        for error in await asyncio.gather(*(each.tick() for each in clocks), return_exceptions=True):
            if isinstance(error, BaseException) and not isinstance(error, ConnectionResetError):
                raise error

    async def _state(self) -> dict[str, Any]:
        row = await self.database.row(text("SELECT * FROM schedules"))
        assert row is not None
        return dict(row)

    async def _look(self, before: dict[str, Any]) -> None:
        """See what has been decided since, and that nothing that was decided is another."""
        rows = await self.database.rows(text("SELECT * FROM slots ORDER BY slot"))
        catalogue = [Promo(**row) for row in await self.database.rows(select_promos())]
        fresh = []
        for row in rows:
            said = {name: value for name, value in row.items() if name != "announced_at"}
            if row["slot"] in self.decided:
                assert said == self.decided[row["slot"]]
            else:
                fresh.append(said)
        assert len(rows) == len(self.decided) + len(fresh)
        latest = max(self.decided, default=None)
        for said in fresh:
            assert latest is None or said["slot"] > latest, "slots are decided in their order"
            latest = said["slot"]
            self.decided[latest] = said
            if said["skipped"] is None:
                assert before["active"], "nothing is posted while the schedule is stopped"
                assert before["paused_until"] is None or latest >= before["paused_until"]
                chosen = before["promo_ids"]
                turn = next_promo(
                    [promo for promo in catalogue if chosen is None or promo.id in chosen], self.turn
                )
                assert turn is not None
                assert said["promo_id"] == turn.id, "promos take turns, and a skipped slot takes none"
                assert said["until"] > latest
                self.turn = Turn(turn.id, turn.position)


def live(loop: asyncio.AbstractEventLoop, url: str, examples: int, steps: int) -> None:
    """Let so many schedulers live through so many steps."""

    async def opened() -> tuple[Any, Database]:
        context = Database.open(url)
        return context, await context.__aenter__()

    context, database = loop.run_until_complete(opened())
    try:
        run_state_machine_as_test(
            lambda: Life(loop, database),
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(12, 12), pytest.param(150, 40, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
def test_any_order_keeps_slots_and_turns(fresh_database: FreshDatabase, examples: int, steps: int) -> None:
    """Slots are decided once and in order, promos take turns, and the world learns of all, the same."""
    loop = asyncio.new_event_loop()
    try:
        live(loop, loop.run_until_complete(fresh_database("scheduler")), examples, steps)
    finally:
        loop.close()
