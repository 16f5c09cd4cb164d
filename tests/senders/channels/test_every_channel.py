"""The rules that hold for every channel, on the real protocols: one suite, a world for each."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from devstack.push import PushService
from devstack.push.faults import PushFault
from devstack.smtp import Inbox
from devstack.smtp.faults import SmtpFault
from services.senders.channels import Channel
from services.senders.channels.email import EmailChannel
from services.senders.channels.push import PushChannel
from services.senders.domain.sending import (
    Later,
    Outgoing,
    PushTarget,
    Refused,
    Sent,
    Stopped,
    TelegramTarget,
)
from shared import ids


@dataclass(frozen=True)
class World:
    """A channel with what is outside: how to send, to be difficult, and to see what arrived."""

    channel: Channel
    hasty: Channel
    item: Callable[..., Outgoing]
    arrived: Callable[[], list[str]]
    gone: Callable[[Outgoing], None]
    fail_before: Callable[[], None]
    stay_silent: Callable[[], None]
    mistrust: Callable[[], None]
    secrets: Callable[[Outgoing], list[str]]


@pytest.fixture
def by_email(
    email: EmailChannel, hasty_email: EmailChannel, inbox: Inbox, letter: Callable[..., Outgoing]
) -> World:
    """Meet the rules with e-mail."""
    box = inbox.postbox

    def gone(item: Outgoing) -> None:
        box.rules = box.rules.model_copy(update={"refuse": ("ann@example.org",)})

    return World(
        email,
        hasty_email,
        letter,
        lambda: [str(mail.message["Message-ID"]) for mail in box.mails],
        gone,
        lambda: box.faults.add(SmtpFault(stage="mail", kind="close")),
        lambda: box.faults.add(SmtpFault(stage="data_before", kind="slow", seconds=40)),
        # Each of the two ways to log in is refused.
        lambda: box.faults.add(SmtpFault(stage="auth", kind="reply", code=535, times=2)),
        lambda _item: ["ann@example.org", "s3cret", "close by hand", "Grüße"],
    )


@pytest.fixture
def by_push(
    push: PushChannel, hasty_push: PushChannel, service: PushService, notification: Callable[..., Outgoing]
) -> World:
    """Meet the rules with Web Push."""
    memory = service.memory

    def gone(item: Outgoing) -> None:
        for subscription in memory.subscriptions.values():
            subscription.expired = True

    def secrets(item: Outgoing) -> list[str]:
        assert isinstance(item.to, PushTarget)
        return [item.to.subscription.endpoint, item.to.subscription.auth, "close by hand", "Grüße"]

    return World(
        push,
        hasty_push,
        notification,
        lambda: [str(message.topic) for message in memory.messages],
        gone,
        lambda: memory.faults.add(PushFault(kind="reset_before")),
        lambda: memory.faults.add(PushFault(kind="slow", seconds=40)),
        lambda: memory.faults.add(PushFault(kind="status", status=403)),
        secrets,
    )


@pytest.fixture(params=["by_email", "by_push"])
def world(request: pytest.FixtureRequest) -> World:
    """Give each channel its turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, World)
    return found


async def test_what_is_sent_arrives_once(world: World) -> None:
    """Sent means that the provider has it, once, and names it."""
    item = world.item()
    answer = await world.channel.send(item)
    assert isinstance(answer, Sent)
    assert answer.provider_message_id
    assert len(world.arrived()) == 1


async def test_an_attempt_repeated_can_be_recognised(world: World) -> None:
    """Every attempt of a delivery has the same name outside, and no other delivery has it."""
    one, other = world.item(), world.item()
    for item in (one, replace(one, attempt=2), other):
        assert isinstance(await world.channel.send(item), Sent)
    first, again, different = world.arrived()
    assert first == again != different
    assert ids.to_short(one.delivery_id) in first


async def test_many_at_once_all_arrive(world: World) -> None:
    """Attempts that run side by side do not get into each other's way."""
    items = [world.item(delivery_id=UUID(int=number)) for number in range(30)]
    answers = await asyncio.gather(*map(world.channel.send, items))
    assert all(isinstance(answer, Sent) for answer in answers)
    assert len(set(world.arrived())) == 30


async def test_a_failure_before_the_effect_is_tried_again_later(world: World) -> None:
    """A connection lost before anything happened is Later, and the next attempt goes through."""
    world.fail_before()
    assert await world.channel.send(world.item()) == Later(None, "no_effect")
    assert world.arrived() == []
    assert isinstance(await world.channel.send(world.item()), Sent)


async def test_silence_before_the_effect_is_tried_again_later(world: World) -> None:
    """A provider that does not answer in time before the effect is Later, well before it would answer."""
    world.stay_silent()
    async with asyncio.timeout(30):
        assert await world.hasty.send(world.item()) == Later(None, "no_effect")
    assert isinstance(await world.channel.send(world.item()), Sent)


async def test_a_recipient_who_is_gone_is_refused_and_suppressed(world: World) -> None:
    """A refusal for good says that nothing else to this address will be taken."""
    item = world.item()
    world.gone(item)
    answer = await world.channel.send(item)
    assert isinstance(answer, Refused)
    assert answer.suppresses
    assert world.arrived() == []


async def test_wrong_credentials_stop_the_channel(world: World) -> None:
    """Credentials that are refused are Stopped, not a failure of the message."""
    world.mistrust()
    assert isinstance(await world.channel.send(world.item()), Stopped)
    assert world.arrived() == []
    assert isinstance(await world.channel.send(world.item()), Sent)


async def test_an_item_for_another_channel_is_a_mistake_of_ours(world: World) -> None:
    """What belongs to another channel raises: no answer of a provider could be meant."""
    with pytest.raises(TypeError, match="channel sends"):
        await world.channel.send(replace(world.item(), to=TelegramTarget(1)))


async def test_addresses_and_texts_stay_out_of_repr_and_logs(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither an item's repr nor a line logged while it fails says to whom or what is sent."""
    # The simulators' own logs are those of the world outside.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    caplog.set_level(logging.DEBUG)
    item = world.item()
    world.fail_before()
    await world.channel.send(item)
    world.gone(item)
    await world.channel.send(item)
    said = repr(item) + caplog.text
    assert [secret for secret in world.secrets(item) if secret in said] == []
