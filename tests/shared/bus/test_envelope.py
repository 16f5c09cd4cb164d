"""What a delivered message says of itself: in the subject that acknowledges it, and in its headers."""

from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.envelope import Arrived

PUBLISHED = 1_790_000_000_123_456_789
REPLY = f"$JS.ACK.CLICKS.clicks_presses.3.77.12.{PUBLISHED}.5"


@pytest.mark.parametrize(
    ("before", "after"), [("$JS.ACK", ""), ("$JS.ACK.hub.ACCOUNT", ""), ("$JS.ACK.hub.ACCOUNT", ".token")]
)
def test_metadata_are_those_that_the_client_reads(before: str, after: str) -> None:
    """Stream, sequence and deliveries are found whether or not the broker has a domain."""
    reply = f"{before}.CLICKS.clicks_presses.3.77.12.{PUBLISHED}.5{after}"
    read = Msg(Client(), "clicks.pressed", reply).metadata
    arrived = Arrived(b"clicks.pressed", reply.encode(), b"", None)

    assert (arrived.stream, arrived.deliveries, arrived.sequence, arrived.number) == ("CLICKS", 3, 77, 12)
    assert arrived.sequence == read.sequence.stream
    assert arrived.published_at == read.timestamp
    assert arrived.published_at.replace(microsecond=0) == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"NATS/1.0\r\n\r\n",
        b"NATS/1.0\r\nCarillon-Event: click.pressed\r\nNats-Msg-Id: a:b\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id:1\r\nCarillon-Event:  click.pressed \r\nNo-Colon\r\nEmpty:\r\n\r\n",
        b"NATS/1.0\r\nCarillon-Event: first\r\nCarillon-Event: last\r\nName: \xc3\xbc \xff\r\n\r\n",
        b"NATS/1.0\r\nX-Carillon-Event: other\r\nCarillon-Event-Id: 5\r\n\r\n",
    ],
)
def test_headers_are_those_that_the_client_reads(lines: bytes) -> None:
    """Headers, and the event's name by itself, are what the client's own reading of them is."""
    expected = Client._parse_header_lines(lines.partition(b"\r\n")[2])

    assert Arrived(b"clicks.pressed", REPLY.encode(), b"", lines).event == expected.get("Carillon-Event", "")
    assert Arrived(b"clicks.pressed", REPLY.encode(), b"", lines).headers == expected


def test_what_could_not_be_published_again_is_left_out() -> None:
    """Odd names, subjects and numbers in what a stranger published keep nobody from burying it."""
    lines = b"NATS/1.0\r\nFoo Bar: x\r\nF\xff: x\r\na(b: x\r\nGood: y\r\nCarillon-Replay: %b\r\n\r\n"
    arrived = Arrived(b"clicks.\xff", REPLY.encode(), b"{}", lines % (b"9" * 5_000))

    assert set(arrived.headers) == {"Good", "Carillon-Replay"}
    assert (arrived.subject, arrived.replay) == ("clicks.\ufffd", 0)
