"""Durable consumption against the real server: a test for every pitfall that applies."""

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import pytest
from nats.aio.client import Client

from shared.bus import Bus, Receipt, RetryLater, on, on_batch, on_batch_or_alone
from shared.bus.provisioning import Provisioner
from shared.bus.pulling import HEADER_BYTES
from shared.database import is_unavailable
from shared.events import ButtonClicked, ClickAnnotated, Event
from tests.conftest import ACK_WAIT_SECONDS
from tests.servers import AnyNats
from tests.shared.bus.conftest import RETRIES, MemoryAttempts, click, ids, narrowed, settled, until

DURABLE = "senders_presses"
BATCHES = "clicks_presses"


class Seen:
    """A handler that remembers, and fails as told."""

    def __init__(self) -> None:
        self.events: list[ButtonClicked] = []
        self.receipts: list[Receipt] = []
        self.fail: Exception | None = None
        self.poison: set[str] = set()

    async def __call__(self, event: ButtonClicked, receipt: Receipt) -> None:
        self.events.append(event)
        self.receipts.append(receipt)
        if self.fail and (not self.poison or event.payload in self.poison):
            raise self.fail


async def _letters(bus: Bus) -> list[str]:
    return [letter.event_key async for letter in bus.dead_letters.all()]


async def test_every_event_is_handled_once_and_acked(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """An event that its handler took is acked and does not come again."""
    seen = Seen()
    events = [click(number) for number in range(100)]
    await asyncio.gather(*(bus.publish(event) for event in events))
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        await until(lambda: len(seen.events) == 100)
        await settled(client, DURABLE)
    assert sorted(ids(seen.events)) == sorted(ids(events))


async def test_at_rest_an_event_is_handled_at_once(
    bus: Bus, attempts: MemoryAttempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P16, P19: a waiting pull request hands over the first event; it does not wait for a full batch."""
    monkeypatch.setattr("shared.bus.pulling.EXPIRY_SECONDS", 40.0)
    seen = Seen()
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await bus.publish(click())
        await until(lambda: len(seen.events) == 1)
        assert time.monotonic() - began < 20


async def test_unparsable_goes_to_the_dead_letters_at_first_sight(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """P7, P8: what does not parse is buried with its bytes intact, once, and holds nobody up."""
    seen = Seen()
    for body in (b"1", b"not json \xff\x00", b'{"id": 5}'):
        await client.jetstream().publish("clicks.pressed", body)
    await bus.publish(click())
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        await until(lambda: len(seen.events) == 1)
        await settled(client, DURABLE, letters=3)
    letters = [letter async for letter in bus.dead_letters.all()]
    assert [letter.payload for letter in letters] == [b"1", b"not json \xff\x00", b'{"id": 5}']
    assert {letter.reason for letter in letters} == {"unparsable"}
    assert {letter.subject for letter in letters} == {"clicks.pressed"}


async def test_headers_that_no_client_would_publish_keep_nobody_from_burying(
    bus: Bus, attempts: MemoryAttempts, client: Client, broker: AnyNats
) -> None:
    """What a stranger wrote to the broker by hand, with odd names and numbers, is a dead letter too."""
    lines = (b"Foo Bar: x", b"F\xff: x", b"a(b: x", b"Carillon-Replay: " + b"9" * 5_000)
    address = urlsplit(broker.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    await reader.readline()
    writer.write(b"CONNECT " + orjson.dumps({"verbose": False, "headers": True}) + b"\r\n")
    for line in lines:
        head = b"NATS/1.0\r\n" + line + b"\r\n\r\n"
        writer.write(b"HPUB clicks.pressed %d %d\r\n%b{}\r\n" % (len(head), len(head) + 2, head))
    await writer.drain()
    async with bus.consume(DURABLE, on(ButtonClicked, Seen()), attempts=attempts):
        await settled(client, DURABLE, letters=len(lines))
    writer.close()
    letters = [letter async for letter in bus.dead_letters.all()]
    assert {(letter.reason, letter.payload) for letter in letters} == {("unparsable", b"{}")}


async def test_an_unforeseen_failure_is_retried_then_buried_and_replayed(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """Counted retries with their delays (P9: no hot loop), one dead letter, and a replay that heals."""
    seen = Seen()
    seen.fail = KeyError("secret words")
    event = click()
    await bus.publish(event)
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        began = time.monotonic()
        await until(lambda: len(seen.events) == len(RETRIES) + 1)
        assert time.monotonic() - began >= sum(RETRIES) * 0.9
        await settled(client, DURABLE, letters=1)
        assert await _letters(bus) == [str(event.id)]
        seen.fail = None
        [letter] = [letter async for letter in bus.dead_letters.all()]
        assert (letter.error, letter.attempts, letter.reason) == ("KeyError", len(RETRIES) + 1, "failed")
        await bus.dead_letters.replay(letter)
        await until(lambda: len(seen.events) == len(RETRIES) + 2)
    assert set(ids(seen.events)) == {event.id}
    assert [receipt.replay for receipt in seen.receipts] == [0, 0, 0, 1]
    assert await _letters(bus) == []


async def test_a_second_death_is_a_new_dead_letter(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """P5: a replay has a message id of its own, and so has the letter of the second death."""
    seen = Seen()
    seen.fail = KeyError()
    await bus.publish(click())
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        await until(lambda: len(seen.events) == 3)
        await settled(client, DURABLE, letters=1)
        [first] = [letter async for letter in bus.dead_letters.all()]
        await bus.dead_letters.replay(first)
        await until(lambda: len(seen.events) == 6)
        await settled(client, DURABLE, letters=1)
        [second] = [letter async for letter in bus.dead_letters.all()]
    assert (first.replay, second.replay) == (0, 1)
    assert second.event_key == first.event_key


async def test_retry_later_is_not_counted(bus: Bus, attempts: MemoryAttempts) -> None:
    """RetryLater promises that nothing happened: however often it comes, there is no dead letter."""
    seen = Seen()
    seen.fail = RetryLater(0.05)
    await bus.publish(click())
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        await until(lambda: len(seen.events) >= len(RETRIES) + 4)
        seen.fail = None
        count = len(seen.events)
        await until(lambda: len(seen.events) > count)
    assert await _letters(bus) == []


async def test_a_slow_event_holds_nobody_up(
    bus: Bus, attempts: MemoryAttempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P19: there is no batch barrier."""
    release = asyncio.Event()
    done: list[str] = []

    async def handle(event: ButtonClicked, _: Receipt) -> None:
        if event.payload == "slow":
            await release.wait()
        done.append(event.payload)

    await bus.publish(click(payload="slow"))
    for number in range(50):
        await bus.publish(click(number))
    async with (
        narrowed(DURABLE, monkeypatch, concurrency=2),
        bus.consume(DURABLE, on(ButtonClicked, handle), attempts=attempts),
    ):
        await until(lambda: len(done) == 50)
        release.set()
        await until(lambda: len(done) == 51)


async def test_a_handler_longer_than_the_ack_wait_is_not_repeated(bus: Bus, attempts: MemoryAttempts) -> None:
    """In-progress signals hold a message beyond its ack wait."""
    starts = 0

    async def handle(_event: ButtonClicked, _: Receipt) -> None:
        nonlocal starts
        starts += 1
        await asyncio.sleep(ACK_WAIT_SECONDS * 1.6)

    await bus.publish(click())
    async with bus.consume(DURABLE, on(ButtonClicked, handle), attempts=attempts):
        await asyncio.sleep(ACK_WAIT_SECONDS * 2)
    assert starts == 1


async def test_leaving_finishes_what_runs_and_hands_back_the_rest(
    bus: Bus, attempts: MemoryAttempts, monkeypatch: pytest.MonkeyPatch, broker: AnyNats
) -> None:
    """P20: on stop nothing is abandoned: another consumer gets the rest at once, not after the ack wait."""
    async with Provisioner.open(broker.url, ack_wait_seconds=100) as provisioner:
        await provisioner.apply()
    leaves, release = asyncio.Event(), asyncio.Event()
    begun: list[ButtonClicked] = []
    first: list[ButtonClicked] = []

    async def slow(event: ButtonClicked, _: Receipt) -> None:
        begun.append(event)
        await release.wait()
        first.append(event)

    async def consume_and_leave() -> None:
        async with bus.consume(DURABLE, on(ButtonClicked, slow), attempts=attempts):
            await until(lambda: len(begun) == 5)
            leaves.set()

    events = [click(number) for number in range(20)]
    await asyncio.gather(*(bus.publish(event) for event in events))
    async with narrowed(DURABLE, monkeypatch, concurrency=5):
        leaving = asyncio.create_task(consume_and_leave())
        await leaves.wait()
        await asyncio.sleep(0.2)
        assert not leaving.done()
        release.set()
        await leaving
        assert len(first) == 5
        seen = Seen()
        async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
            await until(lambda: len(seen.events) == 15, seconds=50)
    assert set(ids(first)) | set(ids(seen.events)) == set(ids(events))


async def test_stopping_while_the_broker_is_away_ends(broker: AnyNats, attempts: MemoryAttempts) -> None:
    """P21: a stop during an outage raises nothing and does not hang."""
    async with asyncio.timeout(60):
        async with (
            Bus.open(broker.url, service="tests") as bus,
            bus.consume(DURABLE, on(ButtonClicked, Seen()), attempts=attempts),
        ):
            await asyncio.sleep(0.1)
            await broker.kill()
            await asyncio.sleep(0.5)
    await broker.restart()


async def test_consumption_resumes_after_the_broker_was_killed(
    bus: Bus, broker: AnyNats, attempts: MemoryAttempts
) -> None:
    """P13, P15: pull requests always expire, so consumption goes on by itself when the broker is back."""
    seen = Seen()
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        await bus.publish(click())
        await until(lambda: len(seen.events) == 1)
        await broker.kill()
        await asyncio.sleep(1)
        await broker.restart()
        await bus.publish(click())
        await until(lambda: len(seen.events) >= 2)


async def test_a_deleted_durable_is_noticed_without_a_hot_loop(
    bus: Bus, attempts: MemoryAttempts, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P18: a durable that is gone makes the bus unready; the loop does not spin."""
    monkeypatch.setattr("shared.bus.connection.SILENT_SECONDS", 0.5)
    async with bus.consume(DURABLE, on(ButtonClicked, Seen()), attempts=attempts):
        await asyncio.sleep(0.1)
        await client.jetstream().delete_consumer("CLICKS", DURABLE)
        await asyncio.sleep(0.7)
        before = time.process_time()
        await asyncio.sleep(1)
        assert time.process_time() - before < 0.3
        assert not await bus.connected()


async def test_an_outage_of_the_database_burns_no_tries(bus: Bus, attempts: MemoryAttempts) -> None:
    """P11: while the database is away pulling stops; afterwards everything is handled and nothing buried."""
    seen = Seen()
    events = [click(number) for number in range(30)]

    async def handle(event: ButtonClicked, receipt: Receipt) -> None:
        if attempts.away:
            raise ConnectionRefusedError
        await seen(event, receipt)

    attempts.away = True
    async with bus.consume(
        DURABLE, on(ButtonClicked, handle), attempts=attempts,
        is_unavailable=lambda error: isinstance(error, ConnectionRefusedError),
    ):  # fmt: skip
        await asyncio.gather(*(bus.publish(event) for event in events))
        await asyncio.sleep(1.5)
        assert seen.events == []
        attempts.away = False
        await until(lambda: set(ids(seen.events)) == set(ids(events)))
    assert await _letters(bus) == []


async def test_what_kills_its_process_is_buried_and_its_neighbours_are_not(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """P27: after three attempts that never ended an event is a dead letter; innocents are handled."""
    poison, innocent = click(payload="poison"), click(payload="innocent")
    key = f"{DURABLE}/{poison.id}~0"
    attempts.rows[key] = [3, 0]  # three processes died while they handled it
    attempts.rows[f"{DURABLE}/{innocent.id}~0"] = [2, 0]  # it was beside it twice
    for event in (poison, innocent):
        await bus.publish(event)
    # Both were delivered before, to a process that is dead now.
    taken = await (await client.jetstream().pull_subscribe_bind(DURABLE, "CLICKS")).fetch(2)
    for message in taken:
        await message.nak()
    seen = Seen()
    async with bus.consume(DURABLE, on(ButtonClicked, seen), attempts=attempts):
        await settled(client, DURABLE, letters=1)
    assert [event.payload for event in seen.events] == ["innocent"]
    letters = [letter async for letter in bus.dead_letters.all()]
    assert [(letter.event_id, letter.reason) for letter in letters] == [(poison.id, "crashed")]


async def test_batches_take_many_and_fail_one_by_one(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """A batch is decoded one by one; one poisonous event in it buries itself only."""
    sizes: list[int] = []
    stored: set[str] = set()

    async def handle(presses: Sequence[ButtonClicked]) -> None:
        sizes.append(len(presses))
        if any(press.payload == "poison" for press in presses):
            raise KeyError
        stored.update(str(press.id) for press in presses)

    events = [click(number) for number in range(300)]
    poison = click(payload="poison")
    await asyncio.gather(*(bus.publish(event) for event in [*events[:150], poison, *events[150:]]))
    await client.jetstream().publish("clicks.pressed", b"{")
    async with bus.consume_batches(BATCHES, on_batch(ButtonClicked, handle), attempts=attempts):
        await until(lambda: len(stored) == 300)
        await settled(client, BATCHES, letters=2)
    assert max(sizes) > 50
    letters = [letter async for letter in bus.dead_letters.all()]
    assert sorted(letter.reason for letter in letters) == ["failed", "unparsable"]


async def test_classes_of_a_subject_are_batched_each_by_itself(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """What two classes share comes to each in batches of its own; what neither takes is not lost unseen."""
    came: dict[str, list[int]] = {"pressed": [], "annotated": []}

    async def pressed(events: Sequence[ButtonClicked]) -> None:
        came["pressed"].append(len([event for event in events if event.bot]))

    async def annotated(events: Sequence[ClickAnnotated]) -> None:
        came["annotated"].append(len([event for event in events if event.click_id]))

    for number in range(20):
        await bus.publish(click(number))
    body = b'{"id":"%s","at":"2026-03-01T00:00:00Z","click_id":"%s","metadata":{}}'
    stream = client.jetstream()
    for number in range(10):
        # The stand-in for a second class: a durable sees the subjects that it was declared with.
        each = body % (str(UUID(int=number)).encode(), str(UUID(int=number)).encode())
        await stream.publish("clicks.pressed", each, headers={"Carillon-Event": ClickAnnotated.name})
    await stream.publish("clicks.pressed", b"{}", headers={"Carillon-Event": "made.up"})
    routes = (on_batch(ButtonClicked, pressed), on_batch(ClickAnnotated, annotated))
    async with bus.consume_batches(BATCHES, *routes, attempts=attempts):
        await settled(client, BATCHES, letters=1)
    assert (sum(came["pressed"]), sum(came["annotated"])) == (20, 10)
    assert max(map(len, came.values())) < 10, "batches"
    assert [letter.event async for letter in bus.dead_letters.all()] == ["made.up"]


async def test_some_are_handled_alone_beside_batches(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """What is alone is in no batch, begins in its order, holds up none, and fails by itself."""
    batched: list[str] = []
    begun: list[str] = []
    sizes: list[int] = []
    go_on = asyncio.Event()

    async def together(presses: Sequence[ButtonClicked]) -> None:
        sizes.append(len(presses))
        batched.extend(press.payload for press in presses)

    async def by_itself(press: ButtonClicked, _receipt: Receipt) -> None:
        begun.append(press.payload)
        if press.payload == "alone 0":
            await go_on.wait()
        if press.payload == "alone 1":
            raise KeyError

    for number in range(60):
        await bus.publish(click(number, payload=f"many {number}"))
        if number % 20 == 0:
            await bus.publish(click(1000 + number, payload=f"alone {number // 20}"))
    await client.jetstream().publish("clicks.pressed", b"{", headers={"Carillon-Event": "click.pressed"})
    route = on_batch_or_alone(
        ButtonClicked, together, alone=lambda press: press.payload.startswith("alone"), handle_one=by_itself
    )
    async with bus.consume_batches(BATCHES, route, attempts=attempts):
        await until(lambda: len(batched) == 60 and len(begun) > 2)
        assert begun[:3] == ["alone 0", "alone 1", "alone 2"], "one that waits holds up no other"
        go_on.set()
        await settled(client, BATCHES, letters=2)
    assert sorted(batched) == sorted(f"many {number}" for number in range(60))
    assert max(sizes) > 10
    assert begun.count("alone 0") == begun.count("alone 2") == 1
    assert begun.count("alone 1") == len(RETRIES) + 1
    letters = [letter async for letter in bus.dead_letters.all()]
    assert sorted(letter.reason for letter in letters) == ["failed", "unparsable"]


async def test_a_batch_that_fails_is_handled_one_by_one(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """Where some are handled alone, so is each of a batch that failed: only what is to blame is buried."""
    one_by_one: list[str] = []

    async def together(_presses: Sequence[ButtonClicked]) -> None:
        raise KeyError

    async def by_itself(press: ButtonClicked, _receipt: Receipt) -> None:
        one_by_one.append(press.payload)
        if press.payload == "poison":
            raise KeyError

    await asyncio.gather(*(bus.publish(click(number, payload=str(number))) for number in range(20)))
    await bus.publish(click(payload="poison"))
    route = on_batch_or_alone(ButtonClicked, together, alone=lambda _: False, handle_one=by_itself)
    async with bus.consume_batches(BATCHES, route, attempts=attempts):
        await settled(client, BATCHES, letters=1)
    assert sorted(set(one_by_one)) == sorted({*map(str, range(20)), "poison"})
    assert len(one_by_one) == 20 + len(RETRIES) + 1


async def test_what_is_to_be_handled_alone_is_handed_back_too(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """P20: leaving hands back what is alone and was not started; another takes each of them at once."""
    begun: list[str] = []
    finished: list[str] = []
    go_on = asyncio.Event()

    async def together(presses: Sequence[ButtonClicked]) -> None:
        finished.extend(str(press.id) for press in presses)

    async def by_itself(press: ButtonClicked, _receipt: Receipt) -> None:
        begun.append(str(press.id))
        await go_on.wait()
        finished.append(str(press.id))

    events = [click(number) for number in range(40)]
    await asyncio.gather(*(bus.publish(event) for event in events))
    route = on_batch_or_alone(ButtonClicked, together, alone=lambda _: True, handle_one=by_itself)
    async with asyncio.TaskGroup() as tasks:
        async with bus.consume_batches(BATCHES, route, attempts=attempts):
            await until(lambda: bool(begun))
            tasks.create_task(_set_soon(go_on))
        started = len(begun)
        assert sorted(finished) == sorted(begun), "what was begun is finished"
    async with bus.consume_batches(BATCHES, route, attempts=attempts):
        await settled(client, BATCHES)
    assert started < 40
    assert sorted(finished) == sorted(str(event.id) for event in events)


async def test_what_a_stranger_published_is_sorted_too(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """Without our headers an event is of the class that is awaited; one of another name is none of it."""
    batched: list[str] = []
    alone: list[str] = []

    async def together(presses: Sequence[ButtonClicked]) -> None:
        batched.extend(press.payload for press in presses)

    async def by_itself(press: ButtonClicked, _receipt: Receipt) -> None:
        alone.append(press.payload)

    for payload in ("alone", "many"):
        body = click(payload=payload).model_dump_json().encode()
        await client.jetstream().publish("clicks.pressed", body)
        await client.jetstream().publish("clicks.pressed", body, headers={"Carillon-Event": "made.up"})
    route = on_batch_or_alone(
        ButtonClicked, together, alone=lambda press: press.payload == "alone", handle_one=by_itself
    )
    async with bus.consume_batches(BATCHES, route, attempts=attempts):
        await settled(client, BATCHES, letters=2)
    assert (batched, alone) == (["many"], ["alone"])
    assert [letter.event async for letter in bus.dead_letters.all()] == ["made.up", "made.up"]


async def test_no_more_is_held_than_there_is_memory_for(
    bus: Bus, attempts: MemoryAttempts, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P9: requests are bounded by bytes, and so is what is held: large messages come when there is room."""
    monkeypatch.setattr("shared.bus.consuming.HELD_BYTES", 1024 * 1024)
    monkeypatch.setattr("shared.bus.pulling.AT_ONCE_BYTES", 1024 * 1024)
    largest = client.max_payload + HEADER_BYTES
    count, size = 40, largest // 5
    handled = 0
    go_on = asyncio.Event()

    async def handle(presses: Sequence[ButtonClicked]) -> None:
        nonlocal handled
        await go_on.wait()
        handled += len(presses)

    for number in range(count):
        await bus.publish(click(number, cta_text="x" * size))
    async with bus.consume_batches(BATCHES, on_batch(ButtonClicked, handle), attempts=attempts):
        holding = bus._consumptions[BATCHES]._holding
        await until(lambda: holding.bytes > 1024 * 1024)
        await asyncio.sleep(0.5)
        assert len(holding) < 12, (
            "of a message more than what was asked for, and one request beyond the bound"
        )
        go_on.set()
        await until(lambda: handled == count)
        await settled(client, BATCHES)
        assert holding.bytes == 0


async def _set_soon(event: asyncio.Event) -> None:
    await asyncio.sleep(0.3)
    event.set()


async def test_unrouted_events_are_passed_over_and_unknown_names_buried(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """A durable over several classes passes over those nobody routes, and buries unknown names."""

    async def never(_event: _Other, _receipt: Receipt) -> None:
        raise AssertionError

    await bus.publish(click())
    await client.jetstream().publish("clicks.pressed", b"{}", headers={"Carillon-Event": "made.up"})
    async with bus.consume(DURABLE, on(_Other, never), attempts=attempts):
        await settled(client, DURABLE, letters=1)
    assert [letter.event async for letter in bus.dead_letters.all()] == ["made.up"]


class _Other(Event):
    """An event of another name on the same subject."""

    name = "click.other"
    pattern = "clicks.pressed"


async def test_a_time_out_of_a_handlers_own_is_counted(
    bus: Bus, attempts: MemoryAttempts, client: Client
) -> None:
    """Only the bus's and the database's own unavailability waits for ever; another time-out is a failure."""
    seen = Seen()
    seen.fail = TimeoutError()
    event = click()
    await bus.publish(event)
    async with bus.consume(
        DURABLE, on(ButtonClicked, seen), attempts=attempts, is_unavailable=is_unavailable
    ):
        await until(lambda: len(seen.events) == len(RETRIES) + 1)
        await settled(client, DURABLE, letters=1)
        assert await _letters(bus) == [str(event.id)]
