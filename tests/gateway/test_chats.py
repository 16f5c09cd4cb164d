"""What Telegram says of a bot in a chat, told to senders."""

from typing import Any

import pytest

from services.gateway.domain.updates import Membership, membership_of
from shared.bus import Refusal
from shared.queries import ChatTold, TellChat


def changed(update_id: int, status: str, *, kind: str = "private", chat_id: int = 5, **member: Any) -> Any:
    """Return an update: a bot's membership of a chat is another."""
    return {
        "update_id": update_id,
        "my_chat_member": {
            "chat": {"id": chat_id, "type": kind},
            "from": {"id": 5, "is_bot": False, "first_name": "Ann"},
            "date": 1_700_000_000 + update_id,
            "old_chat_member": {"status": "member"},
            "new_chat_member": {"status": status, **member},
        },
    }


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (changed(1, "kicked"), Membership(5, "blocked", 1_700_000_001)),
        (changed(1, "member"), Membership(5, "unblocked", 1_700_000_001)),
        (changed(1, "left", kind="group", chat_id=-9), Membership(-9, "kicked", 1_700_000_001)),
        (changed(1, "kicked", kind="channel", chat_id=-9), Membership(-9, "kicked", 1_700_000_001)),
        (changed(1, "administrator", kind="channel", chat_id=-9), Membership(-9, "added", 1_700_000_001)),
        (
            changed(1, "restricted", kind="supergroup", chat_id=-9, is_member=True),
            Membership(-9, "added", 1_700_000_001),
        ),
        (
            changed(1, "restricted", kind="supergroup", chat_id=-9, is_member=False),
            Membership(-9, "kicked", 1_700_000_001),
        ),
        (changed(1, "unheard_of"), None),
        ({"update_id": 1, "my_chat_member": {"chat": {"id": "x"}}}, None),
        ({"update_id": 1, "my_chat_member": []}, None),
    ],
)
def test_what_a_membership_means(update: Any, expected: Membership | None) -> None:
    """Blocked and unblocked are of private chats, removed and added of the others; nonsense means nothing."""
    assert membership_of(update) == expected


async def test_senders_is_told(gateway: Any) -> None:
    """A block and its lifting are told with their dates and order; a repeat is told once; nonsense is not."""
    await gateway.peers.answer(TellChat, lambda _: ChatTold(changed=True))
    for update in (changed(1, "kicked"), changed(1, "kicked"), changed(2, "member"), changed(3, "odd")):
        assert (await gateway.hook(update))[0] == 200
    assert (await gateway.logged(1))["status"] == "handled"
    assert (await gateway.logged(2))["status"] == "handled"
    assert (await gateway.logged(3))["status"] == "ignored"
    told = gateway.peers.of(TellChat)
    assert [(each.change, each.order, each.chat_id, each.bot) for each in told] == [
        ("blocked", 1, 5, "default"),
        ("unblocked", 2, 5, "default"),
    ]
    assert int(told[0].at.timestamp()) == 1_700_000_001


async def test_it_waits_for_senders(gateway: Any) -> None:
    """While senders does not answer nothing is forgotten and nothing is a dead letter."""
    assert (await gateway.hook(changed(1, "kicked")))[0] == 200
    line = await gateway.hook(gateway.message(2, "/help"))
    assert line[0] == 200
    await gateway.logged(2)

    def busy(_: TellChat) -> ChatTold:
        if len(gateway.peers.of(TellChat)) < 2:
            raise Refusal(503, "Busy")
        return ChatTold(changed=True)

    await gateway.peers.answer(TellChat, busy)
    assert (await gateway.logged(1))["status"] == "handled"
    assert len({each.cause for each in gateway.peers.of(TellChat)}) == 1
    assert await gateway.bus.dead_letters.count() == 0
