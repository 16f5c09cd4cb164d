"""What a push service's answers mean: each row of the requirements' table."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from devstack.control import serving
from devstack.push import PushService
from devstack.push.faults import PushFault
from services.senders.channels.push import PushChannel
from services.senders.channels.vapid import VapidTokens
from services.senders.domain.sending import Answer, Later, Outgoing, PushTarget, Refused, Sent, Stopped
from shared.events import PushSubscription

Notifications = Callable[..., Outgoing]


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def subscription_of(item: Outgoing) -> PushSubscription:
    """Return where an item goes."""
    assert isinstance(item.to, PushTarget)
    return item.to.subscription


@pytest.mark.parametrize(
    ("status", "retry_after", "answer"),
    [
        (400, None, Refused("rejected")),
        (404, None, Refused("expired_subscription", suppresses=True)),
        (410, None, Refused("expired_subscription", suppresses=True)),
        (413, None, Refused("too_large")),
        (418, None, Refused("rejected")),
        (401, None, Stopped("vapid")),
        (403, None, Stopped("vapid")),
        (429, 7, Later(7.0, "throttled")),
        (429, None, Later(None, "throttled")),
        (429, 10**9, Later(86_400.0, "throttled")),
        (408, None, Later(None, "no_effect")),
        (500, None, Later(None, "no_effect")),
        (503, 120, Later(120.0, "no_effect")),
    ],
)
async def test_a_status_tells_what_became_of_it(
    push: PushChannel,
    service: PushService,
    notification: Notifications,
    *,
    status: int,
    retry_after: int | None,
    answer: Answer,
) -> None:
    """Each status is the answer that the requirements' table says, with the wait that was asked for."""
    service.memory.faults.add(PushFault(kind="status", status=status, retry_after=retry_after))
    assert await push.send(notification()) == answer
    assert service.memory.messages == []


@pytest.mark.parametrize("expected", [3600, None])
async def test_retry_after_may_be_a_date(
    push: PushChannel, notification: Notifications, expected: float | None
) -> None:
    """A date is as good as seconds; what is neither leaves the wait to the policy."""
    began = time.monotonic()
    said = format_datetime(now() + timedelta(seconds=expected), usegmt=False) if expected else "soon"

    async def busy(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": said})

    app = web.Application()
    app.router.add_post("/", busy)
    keys = subscription_of(notification())
    async with serving(app, "127.0.0.1", 0) as url:
        answer = await push.send(notification(keys.model_copy(update={"endpoint": f"{url}/"})))
    assert isinstance(answer, Later)
    if expected is None:
        assert answer.seconds is None
    else:
        assert answer.seconds == pytest.approx(expected, abs=60 + time.monotonic() - began)


@pytest.mark.parametrize(("kind", "taken"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_lost_connection_is_never_ambiguous(
    push: PushChannel, service: PushService, notification: Notifications, kind: str, taken: int
) -> None:
    """Before and after the effect alike it is Later: the repeat replaces what may have arrived."""
    service.memory.faults.add(PushFault.model_validate({"kind": kind}))
    item = notification()
    assert await push.send(item) == Later(None, "no_effect")
    assert len(service.memory.messages) == taken
    assert isinstance(await push.send(item), Sent)
    assert service.memory.counts()["repeated"] == taken


async def test_nobody_at_the_endpoint_is_tried_again_later(
    push: PushChannel, notification: Notifications
) -> None:
    """A push service that cannot be reached is Later(no_effect)."""
    async with PushService.open() as gone:
        made = gone.memory.subscribe(gone.url, None, None)
    item = notification(PushSubscription.model_validate(made.listing()))
    assert await push.send(item) == Later(None, "no_effect")


async def test_an_expired_subscription_is_refused_and_suppressed(
    push: PushChannel, service: PushService, notification: Notifications
) -> None:
    """404 and 410 say that the subscription is to be deleted."""
    item = notification()
    service.memory.subscriptions[subscription_of(item).endpoint.rsplit("/", 1)[1]].expired = True
    assert await push.send(item) == Refused("expired_subscription", suppresses=True)
    unknown = subscription_of(item).model_copy(update={"endpoint": f"{service.url}/push/nobody"})
    assert await push.send(notification(unknown)) == Refused("expired_subscription", suppresses=True)


async def test_browsers_subscribe_with_our_key(
    push: PushChannel, service: PushService, notification: Notifications, tokens: VapidTokens
) -> None:
    """The public key that is shown to browsers is the one that pushes are signed with."""
    made = service.memory.subscribe(service.url, None, tokens.public_key)
    assert isinstance(await push.send(notification(PushSubscription.model_validate(made.listing()))), Sent)


async def test_another_application_servers_subscription_stops(
    push: PushChannel, service: PushService, notification: Notifications
) -> None:
    """A subscription bound to another VAPID key is Stopped(vapid)."""
    item = notification()
    name = subscription_of(item).endpoint.rsplit("/", 1)[1]
    service.memory.subscriptions[name].key = "another"
    assert await push.send(item) == Stopped("vapid")


async def test_a_redirect_is_not_followed(push: PushChannel, notification: Notifications) -> None:
    """A push service that points elsewhere is refused: what it points to was never subscribed to."""
    visited = []

    async def elsewhere(request: web.Request) -> web.Response:
        visited.append(request.path)
        return web.Response(status=307, headers={"Location": "/other"})

    app = web.Application()
    app.router.add_post("/{any:.*}", elsewhere)
    keys = subscription_of(notification())
    async with serving(app, "127.0.0.1", 0) as url:
        answer = await push.send(notification(keys.model_copy(update={"endpoint": f"{url}/first"})))
    assert (answer, visited) == (Refused("rejected"), ["/first"])
