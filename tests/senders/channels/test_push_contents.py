"""What a notification carries, and what is refused before it leaves."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from devstack.push import PushService
from services.senders.channels.push import PushChannel
from services.senders.channels.vapid import VapidTokens
from services.senders.domain.sending import Outgoing, PushTarget, Refused, Sent
from shared import ids
from shared.events import PushSubscription

Notifications = Callable[..., Outgoing]


def now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def subscription_of(item: Outgoing) -> PushSubscription:
    """Return where an item goes."""
    assert isinstance(item.to, PushTarget)
    return item.to.subscription


async def test_a_notification_arrives_as_the_worker_shows_it(
    push: PushChannel, service: PushService, notification: Notifications
) -> None:
    """Title, body, icon, badge, tag and data arrive; what is not given is left out."""
    item = notification(
        content={"icon": "/icon.png", "badge": "/badge.png", "url": "/dashboard", "urgency": "high"}
    )
    bare = notification()
    answers = [await push.send(each) for each in (item, bare)]
    full, plain = service.memory.messages
    assert answers == [Sent(f"{service.url}/messages/{each.id}") for each in (full, plain)]
    assert json.loads(full.payload) == {
        "title": "🚨 close by hand", "body": "Grüße", "icon": "/icon.png", "badge": "/badge.png",
        "tag": ids.to_short(item.delivery_id), "data": {"url": "/dashboard", "urgency": "high"},
    }  # fmt: skip
    assert set(json.loads(plain.payload)) == {"title", "body", "tag", "data"}
    assert (full.urgency, plain.urgency) == ("high", "normal")


async def test_topic_and_tag_collapse_a_repeat(
    push: PushChannel, service: PushService, notification: Notifications
) -> None:
    """The topic is the delivery's id, or the one that was asked for, and the tag is the same."""
    for item, topic in (
        (given := notification(), ids.to_short(given.delivery_id)),
        (notification(content={"topic": "position-7"}), "position-7"),
    ):
        assert isinstance(await push.send(item), Sent)
        message = service.memory.messages[-1]
        assert (message.topic, json.loads(message.payload)["tag"]) == (topic, topic)


@pytest.mark.parametrize(
    ("left", "ttl"),
    [(timedelta(minutes=10), 600), (timedelta(days=90), 28 * 86_400), (timedelta(seconds=-5), 0)],
)
async def test_ttl_follows_from_the_expiry(
    push: PushChannel, service: PushService, notification: Notifications, left: timedelta, ttl: int
) -> None:
    """The service keeps a message as long as it is worth delivering, four weeks at most, never below 0."""
    await push.send(notification(expires_at=now() + left))
    assert ttl - 2 <= service.memory.messages[0].ttl <= ttl


async def test_the_limit_is_checked_before_sending(
    push: PushChannel, service: PushService, notification: Notifications
) -> None:
    """A payload of 3993 bytes goes out, one of 3994 is refused here."""
    overhead = len('{"title":"t","body":"","tag":"1234567890123456789012","data":{"urgency":"normal"}}')
    fits = {"title": "t", "body": "x" * (3993 - overhead)}
    assert isinstance(await push.send(notification(content=fits)), Sent)
    assert service.memory.messages[0].size == 4096
    requests = service.memory.counts()["requests"]
    assert await push.send(notification(content={**fits, "body": fits["body"] + "x"})) == Refused("too_large")
    assert service.memory.counts()["requests"] == requests


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint": "http://push.example.org/x"},
        {"endpoint": "http://127.0.0.1.example.org/x"},
        {"endpoint": "ftp://127.0.0.1/x"},
        {"endpoint": "https://user:password@push.example.org/x"},
        {"endpoint": "https://[::1]/x"},
        {"endpoint": "https://"},
        {"endpoint": "nonsense"},
        {"endpoint": ""},
        {"p256dh": "AAAA"},
        {"p256dh": "%"},
        {"p256dh": "B" * 87},
        {"auth": "AAAA"},
        {"auth": ""},
    ],
)
async def test_a_subscription_that_makes_no_sense_is_refused(
    push: PushChannel, service: PushService, notification: Notifications, changes: dict[str, str]
) -> None:
    """An endpoint that is not https (or loopback) and keys that are none are refused, and suppressed."""
    good = subscription_of(notification())
    answer = await push.send(notification(good.model_copy(update=changes)))
    assert answer == Refused("invalid", suppresses=True)
    assert service.memory.counts()["requests"] == 0


@pytest.mark.parametrize("content", [{"topic": "a" * 33}, {"topic": "a\r\nX: y"}, {"title": "\ud800"}])
async def test_a_content_that_cannot_be_sent_is_not_the_subscriptions_fault(
    push: PushChannel, service: PushService, notification: Notifications, content: dict[str, str]
) -> None:
    """A malformed topic or text is refused as invalid, and the subscription stays."""
    assert await push.send(notification(content=content)) == Refused("invalid")
    assert service.memory.counts()["requests"] == 0


def test_a_token_is_kept_for_its_origin_and_renewed_in_time(tokens: VapidTokens) -> None:
    """A token serves its origin for hours, not another one, and is replaced before it expires."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = tokens.authorization("https://a.example", start)
    assert tokens.authorization("https://a.example", start + timedelta(hours=10)) == first
    assert tokens.authorization("https://b.example", start) != first
    assert tokens.authorization("https://a.example", start + timedelta(hours=11, minutes=1)) != first


@pytest.mark.parametrize(
    ("key", "subject"),
    [
        ("", "mailto:ops@carillon.example"),
        ("abc", "mailto:ops@carillon.example"),
        ("A" * 43, "mailto:ops@carillon.example"),
        ("AQ" + "A" * 41, "ops@carillon.example"),
        ("AQ" + "A" * 41, ""),
    ],
)
def test_a_key_or_subject_that_cannot_be_used_is_found_at_once(key: str, subject: str) -> None:
    """Settings that would fail at the first push fail when they are read, without showing the key."""
    with pytest.raises(ValueError, match="VAPID") as refused:
        VapidTokens(key, subject)
    assert not key or key not in str(refused.value)
