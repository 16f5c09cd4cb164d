"""What a delivered message says of itself, read from the subject that acknowledges it."""

from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.envelope import Arrived

PUBLISHED = 1_790_000_000_123_456_789


@pytest.mark.parametrize(
    ("before", "after"), [("$JS.ACK", ""), ("$JS.ACK.hub.ACCOUNT", ""), ("$JS.ACK.hub.ACCOUNT", ".token")]
)
def test_metadata_are_those_that_the_client_reads(before: str, after: str) -> None:
    """Stream, sequence and deliveries are found whether or not the broker has a domain."""
    message = Msg(Client(), "clicks.pressed", f"{before}.CLICKS.clicks_presses.3.77.12.{PUBLISHED}.5{after}")
    arrived = Arrived.read(message)

    assert (arrived.stream, arrived.deliveries, arrived.sequence) == ("CLICKS", 3, 77)
    assert arrived.sequence == message.metadata.sequence.stream
    assert arrived.published_at.replace(microsecond=0) == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
