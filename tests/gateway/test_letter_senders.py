"""Who may be named as the sender of a letter: those of EMAIL_SENDERS, at the door already."""

from typing import Any

import pytest

from services.gateway.settings import GatewaySettings
from shared.events import MessageRequested


@pytest.fixture
def settings(settings: GatewaySettings) -> GatewaySettings:
    """Return the settings of a gateway that knows who may send."""
    senders = "News <news@example.org>, alerts@example.org"
    return GatewaySettings.model_validate({**settings.model_dump(), "email_senders": senders})


async def test_a_sender_is_checked_at_the_door(gateway: Any) -> None:
    """A listed sender goes along with the message; any other is refused by name."""
    message = {"address": {"email": "ann@example.org"}, "channels": ["email"], "body": {"text": "Hi"}}
    assert (await gateway.call("POST", "/messages", json={**message, "sender": "News@example.org"}))[0] == 202
    [event] = await gateway.eventually(MessageRequested, 1)
    assert event.sender == "News@example.org"
    for sender in ("eve@example.org", "News <news@example.org>", "news@example.org\r\nBcc: e@e.example"):
        status, problem = await gateway.call("POST", "/messages", json={**message, "sender": sender})
        assert (status, problem["errors"][0]["field"]) == (422, "sender")
