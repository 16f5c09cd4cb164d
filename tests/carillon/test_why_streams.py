"""`carillon why` in the streams: what belongs to a story is found, and each message looked at once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from carillon.why.steps import Step
from carillon.why.streams import Headers
from carillon.why.wanted import Wanted, read
from shared.bus import Bus
from shared.bus.envelope import encode
from shared.events import (
    Body,
    ButtonClicked,
    Channel,
    Lane,
    MessageRequested,
    MessageSent,
    click_id,
    outcome_id,
)
from shared.ids import delivery_of
from tests.servers import AnyNats

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def publish(bus: Bus, event: ButtonClicked | MessageRequested | MessageSent, trace: str = "") -> None:
    """Publish an event as part of a trace."""
    payload, headers = encode(event)
    traced = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"} if trace else {}
    await bus._publisher.publish(event.subject(), payload, {**headers, **traced})


def press(number: int) -> ButtonClicked:
    """Make a press."""
    return ButtonClicked(
        id=click_id(7, number), at=NOW, payload="premium", bot="default", bot_id=7, update_id=number
    )


async def story(headers: Headers, wanted: Wanted) -> dict[str, Step]:
    """Return what is told, by what it is."""
    return {step.what: step async for step in headers.told(wanted)}


async def test_a_story_is_found_among_others(prepared_nats: AnyNats) -> None:
    """From a message its outcome and its cause follow, from a trace all of it; a time leaves out no part."""
    message_id = uuid4()
    delivery_id = delivery_of(message_id, Channel.TELEGRAM)
    asked = MessageRequested(id=message_id, at=NOW, user_id=uuid4(), body=Body(text="Hello"), expires_at=NOW)
    sent = MessageSent(
        id=outcome_id(delivery_id, 2, "sent"), at=NOW, message_id=message_id, delivery_id=delivery_id,
        channel=Channel.TELEGRAM, lane=Lane.TRANSACTIONAL, attempt=2, type="body",
    )  # fmt: skip
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        for number in range(30):
            await publish(bus, press(number), TRACE if number == 11 else "")
        await publish(bus, asked, TRACE)
        await publish(bus, sent)
        cut = await bus.streams.cut()

        wanted = read(str(message_id))
        headers = Headers(bus.streams, cut)
        await headers.reach(datetime.now(UTC) + timedelta(minutes=1))
        nothing = await story(headers, wanted)
        await headers.reach(datetime.now(UTC) - timedelta(minutes=1))
        first = await story(headers, wanted)
        # What the ledger tells of its attempts and its trace.
        wanted.add_attempts(delivery_id, 2)
        wanted.traces.add(TRACE)
        more = await story(headers, wanted)
        await headers.reach(None)
        again = await story(headers, wanted)

        whole = Headers(bus.streams, cut)
        await whole.reach(None)
        traced = await story(whole, read(TRACE))

    assert nothing == {}
    assert set(first) == {"message.requested"}
    assert set(more) == {"message.sent", "click.pressed"}
    assert more["click.pressed"].parent == "update 7:11"
    assert again == {}
    assert set(traced) == {"message.requested", "click.pressed"}


async def test_a_dead_letter_is_found_by_its_number(prepared_nats: AnyNats) -> None:
    """Nothing else is read for it, and it names the event that died."""
    died = press(4)
    async with Bus.open(prepared_nats.url, service="tests") as bus:
        payload, headers = encode(died)
        for name in ("clicks_posts", "clicks_presses"):
            letter = {**headers, "Nats-Msg-Id": f"dlq:{name}", "Carillon-Durable": name}
            await bus._publisher.publish(f"dlq.{name}", payload, letter)
        wanted = read("dlq:2")
        found = await story(Headers(bus.streams, await bus.streams.cut()), wanted)

    assert found["dead letter"].details["durable"] == "clicks_presses"
    assert died.id in wanted.events
