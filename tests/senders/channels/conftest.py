"""What the tests of the channels share: the outside world, simulated, and a channel to it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.push import PushService, base64url
from devstack.smtp import Inbox
from services.senders.channels.email import EmailChannel
from services.senders.channels.push import PushChannel
from services.senders.channels.smtp import SmtpServer
from services.senders.channels.vapid import VapidTokens
from services.senders.domain.sending import EmailContent, EmailTarget, Outgoing, PushContent, PushTarget
from shared.events import Lane, PushSubscription
from shared.push import PushServices

PATIENCE = 20.0
"""A machine that stalls must not look like a provider that does."""
HASTE = 2.0
"""How long a provider that does stall is waited for."""
LOCAL = PushServices(http_hosts=("127.0.0.1",))
SENDER = "Carillon <no-reply@carillon.example>"


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@pytest.fixture
def outgoing() -> Callable[..., Outgoing]:
    """Make an attempt, with some fields changed."""

    def make(**changes: Any) -> Outgoing:
        plain: dict[str, Any] = {
            "delivery_id": uuid4(),
            "attempt": 1,
            "lane": Lane.TRANSACTIONAL,
            "bot": None,
            "expires_at": now() + timedelta(hours=1),
        }
        return Outgoing(**{**plain, **changes})

    return make


@pytest.fixture
def letter(outgoing: Callable[..., Outgoing]) -> Callable[..., Outgoing]:
    """Make an attempt to send an e-mail, with parts of its content, its address or its fields changed."""

    def make(to: str = "ann@example.org", content: dict[str, Any] | None = None, **changes: Any) -> Outgoing:
        written = {"subject": "🚨 close by hand", "text": "Grüße\n.dot", "html": "<p>Grüße</p>"}
        return outgoing(to=EmailTarget(to), content=EmailContent(**{**written, **(content or {})}), **changes)

    return make


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    """Open an inbox that wants to know who is writing."""
    async with Inbox.open(username="carillon", password="s3cret") as opened:
        yield opened


@pytest.fixture
async def email(inbox: Inbox) -> AsyncIterator[EmailChannel]:
    """Open the e-mail channel to the inbox."""
    async with EmailChannel.open(smtp_server(inbox, PATIENCE), SENDER, now) as channel:
        yield channel


@pytest.fixture
async def hasty_email(inbox: Inbox) -> AsyncIterator[EmailChannel]:
    """Open the e-mail channel to the inbox, with little patience."""
    async with EmailChannel.open(smtp_server(inbox, HASTE), SENDER, now) as channel:
        yield channel


def smtp_server(inbox: Inbox, seconds: float) -> SmtpServer:
    """Return how the inbox is reached, and how long it is waited for."""
    return SmtpServer(
        inbox.host, inbox.port, tls="none", username="carillon", password="s3cret", timeout=seconds
    )


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    """Open a push service."""
    async with PushService.open() as opened:
        yield opened


@pytest.fixture
def tokens() -> VapidTokens:
    """Make an application server's key."""
    private = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return VapidTokens(base64url.encode(private.to_bytes(32)), "mailto:ops@carillon.example")


@pytest.fixture
async def push(tokens: VapidTokens) -> AsyncIterator[PushChannel]:
    """Open the push channel."""
    async with PushChannel.open(tokens, now, services=LOCAL, timeout=PATIENCE) as channel:
        yield channel


@pytest.fixture
async def hasty_push(tokens: VapidTokens) -> AsyncIterator[PushChannel]:
    """Open the push channel, with little patience."""
    async with PushChannel.open(tokens, now, services=LOCAL, timeout=HASTE) as channel:
        yield channel


@pytest.fixture
def notification(service: PushService, outgoing: Callable[..., Outgoing]) -> Callable[..., Outgoing]:
    """Make an attempt to notify a browser (a new one unless given), with some things changed."""

    def make(
        to: PushSubscription | None = None, content: dict[str, Any] | None = None, **changes: Any
    ) -> Outgoing:
        if to is None:
            to = PushSubscription.model_validate(service.memory.subscribe(service.url, None, None).listing())
        written = {"title": "🚨 close by hand", "body": "Grüße"}
        return outgoing(to=PushTarget(to), content=PushContent(**{**written, **(content or {})}), **changes)

    return make
