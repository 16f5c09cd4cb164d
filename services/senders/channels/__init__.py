"""The ways out: one module per channel, each answering with a value instead of an exception."""

from typing import Protocol

from services.senders.domain.sending import Answer, Outgoing
from shared import events


class Channel(Protocol):
    """A way to reach somebody: it makes one attempt and says what came of it."""

    name: events.Channel

    async def send(self, item: Outgoing) -> Answer:
        """Make one attempt; whatever the provider or the network does becomes an answer."""
        ...
