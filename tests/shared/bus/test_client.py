"""The short way through the client: what consumers deliver, and the acks of it."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg

from shared.bus.client import Client
from shared.bus.envelope import Arrived
from tests.servers import AnyNats
from tests.shared.bus.conftest import until

ACK = "made.up.CLICKS.clicks_presses.1.%d.%d.1790000000123456789.0"


@pytest.fixture
async def short(broker: AnyNats) -> AsyncIterator[Client]:
    """A client with the short way."""
    client = Client()
    await client.connect(broker.url)
    yield client
    await client.close()


async def test_what_is_delivered_comes_at_once_and_what_is_said_in_its_turn(short: Client) -> None:
    """Messages that can be acked go to the one who takes them, with their headers; all others do not."""
    taken: list[Arrived] = []
    said: list[Msg] = []

    async def told(message: Msg) -> None:
        said.append(message)

    async with short.delivering("inbox.*", taken.append, told):
        for number in (1, 2):
            reply = ACK % (number, number)
            await short.publish("inbox.1", b"%d" % number, reply=reply, headers={"Carillon-Event": "made.up"})
        await short.publish("inbox.1", b"", headers={"Status": "408"})
        await until(lambda: bool(said))
    assert [(each.sequence, each.data, each.event, each.subject) for each in taken] == [
        (1, b"1", "made.up", "inbox.1"), (2, b"2", "made.up", "inbox.1"),
    ]  # fmt: skip
    assert [each.headers for each in said] == [{"Status": "408"}], "none of what was taken"


async def test_after_leaving_nothing_comes(short: Client) -> None:
    """Who has left gets no message more, and others of the same subject still get theirs."""
    first: list[Arrived] = []
    second: list[Arrived] = []

    async def told(_message: Msg) -> None:
        raise AssertionError

    async with short.delivering("inbox", second.append, told):
        async with short.delivering("inbox", first.append, told):
            await short.publish("inbox", b"1", reply=ACK % (1, 1))
            await until(lambda: bool(first and second))
        await short.publish("inbox", b"2", reply=ACK % (2, 2))
        await until(lambda: len(second) == 2)
    assert [each.data for each in first] == [b"1"]


async def test_a_message_that_cannot_be_taken_ends_nothing(short: Client) -> None:
    """Of what breaks whoever takes it, or is no delivery at all, the rest of the connection knows nothing."""
    taken: list[bytes] = []

    def take(arrived: Arrived) -> None:
        if arrived.data == b"poison":
            raise KeyError
        taken.append(arrived.data)

    async def told(_message: Msg) -> None:
        raise AssertionError

    async with short.delivering("inbox", take, told):
        await short.publish("inbox", b"no delivery", reply="somebody")
        await short.publish("inbox", b"poison", reply=ACK % (1, 1))
        await short.publish("inbox", b"sound", reply=ACK % (2, 2))
        await until(lambda: bool(taken))
    assert taken == [b"sound"]


@pytest.mark.parametrize("count", [0, 1, 2, 5_000])
async def test_a_word_to_many_reaches_each(short: Client, count: int) -> None:
    """However many are told something, each is, and in the order in which they were named."""
    heard: list[tuple[str, bytes]] = []

    async def hear(message: Msg) -> None:
        heard.append((message.subject, message.data))

    await short.subscribe("ack.*", cb=hear)
    subjects = [f"ack.{number}" for number in range(count)]
    await short.publish_to_each(subjects, b"+ACK")
    await short.publish("ack.end")
    await until(lambda: bool(heard) and heard[-1][0] == "ack.end")
    assert heard == [*((subject, b"+ACK") for subject in subjects), ("ack.end", b"")]
