"""The recipients' directory and what senders answers: idempotent by value, told after every change."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.senders import api
from shared.bus import Refusal
from shared.events import Channel, PushSubscription, RecipientChanged
from shared.push import PushServices
from shared.queries import (
    AddPushSubscription,
    CampaignRecipient,
    CreateCampaign,
    GetCampaign,
    GetMessage,
    GetRecipient,
    ListTemplates,
    PutRecipient,
)

KEYS = {
    "p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
    "auth": "tBHItJI5svbpez7KI4CCXg",
}


async def put(house: Any, **fields: Any) -> Any:
    """Let senders answer a PutRecipient."""
    command = PutRecipient(cause=uuid4(), **fields)
    return await api.put_recipient(command, house.recipients, house.desk.announcer.recipients)


async def add(
    house: Any, user_id: UUID, endpoint: str = "https://fcm.googleapis.com/1", *http_hosts: str, **keys: str
) -> Any:
    """Let senders answer an AddPushSubscription."""
    subscription = PushSubscription(endpoint=endpoint, **{**KEYS, **keys})
    command = AddPushSubscription(cause=uuid4(), user_id=user_id, subscription=subscription)
    return await api.add_push_subscription(
        command, house.recipients, house.desk.announcer.recipients, PushServices(http_hosts=http_hosts)
    )


async def test_a_recipient_changes_by_value(house: Any) -> None:
    """What changes nothing makes no version and tells nothing; null leaves a field as it is."""
    user_id = uuid4()
    assert (await put(house, user_id=user_id, email="a@example.org", telegram_chat_id=2**40)).version == 1
    assert (await put(house, user_id=user_id, email="a@example.org")).version == 1
    changed = await put(house, user_id=user_id, opted_out=True)
    assert (changed.version, changed.email, changed.telegram_chat_id) == (2, "a@example.org", 2**40)
    assert (await put(house, user_id=user_id, opted_out=False)).opted_out is False
    assert [event.version for event in house.of(RecipientChanged)] == [1, 2, 3]
    assert await api.get_recipient(GetRecipient(user_id=user_id), house.recipients) == await put(
        house, user_id=user_id
    )


async def test_the_same_command_side_by_side_is_one_version(house: Any) -> None:
    """A command that is repeated while the first one runs changes nothing twice."""
    user_id = uuid4()
    views = await asyncio.gather(*(put(house, user_id=user_id, email="a@example.org") for _ in range(8)))
    assert {view.version for view in views} == {1}


async def test_an_endpoint_belongs_to_its_newest_owner(house: Any) -> None:
    """A browser's subscription moves with the browser, and is kept once."""
    ann, ben = uuid4(), uuid4()
    first = await add(house, ann)
    assert (await add(house, ann)).version == first.version
    assert len((await add(house, ben)).push_subscriptions) == 1
    assert await house.recipients.subscriptions(ann) == []


async def test_browsers_change_hands_side_by_side(house: Any) -> None:
    """Of two who get a browser at once, both are told of: one has it, the other no longer. None fails."""

    async def versions() -> list[int]:
        return [view.version for view in [await house.recipients.view(each) for each in (ann, ben)]]

    for number in range(10):
        ann, ben = uuid4(), uuid4()
        one, two = (f"https://fcm.googleapis.com/{number}/{name}" for name in ("one", "two"))
        await asyncio.gather(add(house, ann, one), add(house, ben, one))
        assert sorted(await versions()) == [2, 3]  # made, got; made, got, lost
        await add(house, ann, one)
        await add(house, ben, two)
        before = await versions()
        await asyncio.gather(add(house, ann, two), add(house, ben, one))
        assert await versions() == [version + 2 for version in before]


@pytest.mark.parametrize(
    "email", ["nobody", "a@b", "a b@example.org", "a@example.org\nBcc: x@example.org", ""]
)
async def test_an_address_that_cannot_be_is_refused(house: Any, email: str) -> None:
    """An e-mail address that cannot be one is refused, and nobody is made."""
    user_id = uuid4()
    with pytest.raises(Refusal) as refused:
        await put(house, user_id=user_id, email=email)
    assert refused.value.status == 422
    assert await house.recipients.view(user_id) is None


@pytest.mark.parametrize(
    "endpoint",
    ["http://push.example/1", "http://pushes@push.example/1", "ftp://pushes/1", "https://", "http://[", "",
     "https://push.example/1", "https://10.0.0.1/1", "https://fcm.googleapis.com@db.internal/1",
     "http://fcm.googleapis.com/1", "https://x@fcm.googleapis.com/1"],
)  # fmt: skip
async def test_an_endpoint_of_no_known_push_service_is_refused(house: Any, endpoint: str) -> None:
    """Whoever names it, senders post to known push services only, with TLS, but for hosts that are named."""
    with pytest.raises(Refusal) as refused:
        await add(house, uuid4(), endpoint, "pushes")
    assert refused.value.status == 422
    assert (await add(house, uuid4(), "http://pushes:81/1", "pushes")).push_subscriptions


@pytest.mark.parametrize(("name", "value"), [("p256dh", "B" * 87), ("p256dh", ""), ("auth", "AAAA")])
async def test_keys_that_cannot_be_are_refused(house: Any, name: str, value: str) -> None:
    """Whoever names them, what no notification could be encrypted for is refused by its name."""
    with pytest.raises(Refusal) as refused:
        await add(house, uuid4(), **{name: value})
    assert (refused.value.status, refused.value.detail.split(":")[0]) == (422, name)


async def test_what_is_unknown_is_404(house: Any) -> None:
    """Unknown messages, recipients and campaigns are refused with 404."""
    for asking in (
        api.get_message(GetMessage(message_id=uuid4()), house.ledger),
        api.get_recipient(GetRecipient(user_id=uuid4()), house.recipients),
        api.get_campaign(GetCampaign(campaign_id=uuid4()), house.campaigns),
    ):
        with pytest.raises(Refusal) as refused:
            await asking
        assert refused.value.status == 404


async def test_templates_are_listed_with_what_they_need(house: Any) -> None:
    """The three alerts are listed for each channel, with the variables that they require."""
    listed = {
        each.name: each.required
        for each in (await api.list_templates(ListTemplates(), house.desk.templates)).items
    }
    assert {"position_failure_entry", "position_failure_sl", "position_failure_tp"} <= set(listed)
    assert set(listed["position_failure_entry"][Channel.PUSH]) == {"instrument", "side", "approval_id"}


def campaign(house: Any, count: int = 3, **fields: Any) -> CreateCampaign:
    """Return a command to tell some chats something."""
    plain: dict[str, Any] = {
        "campaign_id": uuid4(), "channels": (Channel.TELEGRAM,), "body": {"text": "News"},
        "expires_at": house.asked().expires_at,
        "recipients": [CampaignRecipient(address={"telegram_chat_id": 1000 + n}) for n in range(count)],
    }  # fmt: skip
    return CreateCampaign.model_validate(plain | fields)


async def test_a_campaign_is_made_once(house: Any) -> None:
    """The same campaign again is the same; another list or text under its id is refused with 409."""
    command = campaign(house)
    for _ in range(2):
        view = await api.create_campaign(command, house.campaigns, house.desk.templates, house.estimates)
        assert (view.intended, view.pending, view.status) == (3, 3, "running")
    for other in ({"body": {"text": "Other news"}}, {"recipients": command.recipients[:2]}):
        with pytest.raises(Refusal) as refused:
            await api.create_campaign(
                campaign(house, campaign_id=command.campaign_id, **other),
                house.campaigns,
                house.desk.templates,
                house.estimates,
            )
        assert refused.value.status == 409


@pytest.mark.parametrize(
    "wrong",
    [
        {"template": "no_such_template", "body": None},
        {"template": "position_failure_tp"},
        {"body": None},
        {"recipients": [CampaignRecipient()]},
    ],
    ids=["unknown_template", "template_and_body", "nothing_to_say", "nobody"],
)
async def test_a_senseless_campaign_is_refused(house: Any, wrong: Any) -> None:
    """A campaign that cannot be sent is refused at once, and not written down."""
    command = campaign(house, **wrong)
    with pytest.raises(Refusal) as refused:
        await api.create_campaign(command, house.campaigns, house.desk.templates, house.estimates)
    assert refused.value.status == 422
    assert await house.campaigns.get(command.campaign_id) is None
