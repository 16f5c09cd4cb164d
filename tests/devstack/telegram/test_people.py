"""What people do to a bot, and how it learns of it."""

from typing import Any


async def test_blocking_and_unblocking_are_told(street: Any) -> None:
    """A block is my_chat_member member to kicked, its end the reverse; no change, no update."""
    for value in (True, True, False):
        await street.control("POST", "/chats/42/flags", user_blocked=value)
    blocked, unblocked = (update["my_chat_member"] for update in await street.result("getUpdates"))
    assert blocked["chat"]["id"] == 42
    assert blocked["from"]["id"] == 42
    assert [blocked[side]["status"] for side in ("old_chat_member", "new_chat_member")] == [
        "member",
        "kicked",
    ]
    assert unblocked["new_chat_member"] == {
        "user": {"id": 123456, "is_bot": True, "first_name": "carillon_bot", "username": "carillon_bot"},
        "status": "member",
    }


async def test_kick_and_leave_are_told_in_groups(street: Any) -> None:
    """A removed bot is kicked, one that leaves has left; afterwards it may not write."""
    group = await street.chat("supergroup")
    await street.control("POST", f"/chats/{group}/flags", kicked=True, user_id=42)
    await street.control("POST", f"/chats/{group}/flags", kicked=False)
    await street.result("leaveChat", chat_id=group)
    statuses = [u["my_chat_member"]["new_chat_member"]["status"] for u in await street.result("getUpdates")]
    assert statuses == ["kicked", "member", "left"]
    told = await street.refusal("sendMessage", chat_id=group, text="x")
    assert told == (403, "Forbidden: bot is not a member of the supergroup chat")


async def test_a_block_is_kept_per_bot(street: Any) -> None:
    """A user who blocks one bot still hears the other."""
    await street.control("POST", "/bots", token="777:x", username="other_bot")
    await street.control("POST", "/chats/42/flags", user_blocked=True, bot_id=777)
    await street.result("sendMessage", chat_id=42, text="x")
    street.token = "777:x"
    assert (await street.refusal("sendMessage", chat_id=42, text="x"))[0] == 403
    assert (await street.control("GET", "/chats/42"))["flags"] == {"user_blocked": [777]}


async def test_whoever_writes_has_started_the_bot(street: Any) -> None:
    """Writing to a bot ends a block and makes an unstarted chat a started one."""
    await street.control("POST", "/chats/42/flags", never_started=True, user_blocked=True)
    await street.control("POST", "/send", chat_id=42, text="/start")
    await street.result("sendMessage", chat_id=42, text="Welcome")


async def test_group_upgrade_is_told_on_both_sides(street: Any) -> None:
    """The old chat shows where it went, the new one where it came from, and sends are told the number."""
    group = await street.chat("group", title="Traders")
    new = (await street.control("POST", f"/chats/{group}/migrate"))["id"]
    there, here = (update["message"] for update in await street.result("getUpdates"))
    assert (there["chat"]["id"], there["migrate_to_chat_id"]) == (group, new)
    assert (here["chat"]["id"], here["migrate_from_chat_id"]) == (new, group)
    assert here["chat"]["title"] == "Traders"
    told = await street.call("sendMessage", chat_id=group, text="x")
    assert told["parameters"] == {"migrate_to_chat_id": new}
    await street.control("POST", f"/chats/{group}/migrate", expect=400)


async def test_each_chat_has_its_kind_of_update(street: Any) -> None:
    """Groups give message, channels channel_post, changes the edited kinds."""
    group, channel = await street.chat("group"), await street.chat("channel")
    for chat in (group, channel):
        number = (await street.control("POST", "/send", chat_id=chat, text="one"))["message_id"]
        await street.control("POST", "/send", chat_id=chat, text="two", edit_message_id=number)
    updates = await street.result("getUpdates")
    kinds = [next(key for key in update if key != "update_id") for update in updates]
    assert kinds == ["message", "edited_message", "channel_post", "edited_channel_post"]
    assert updates[1]["edited_message"]["text"] == "two"
    assert updates[1]["edited_message"]["edit_date"] > 0
    assert "from" not in updates[2]["channel_post"]


async def test_update_ids_of_ones_own_leave_the_sequence_alone(street: Any) -> None:
    """An update may be sent with an old id, out of order; the next one goes on as before."""
    first = (await street.control("POST", "/send", chat_id=42, text="a"))["update_id"]
    await street.control("POST", "/send", chat_id=42, text="again", update_id=first)
    await street.control("POST", "/send", chat_id=42, text="old", update_id=5)
    last = (await street.control("POST", "/send", chat_id=42, text="b"))["update_id"]
    ids = [update["update_id"] for update in await street.result("getUpdates")]
    assert ids == [first, first, 5, first + 1]
    assert last == first + 1


async def test_every_bot_of_a_group_hears_its_own_number(street: Any) -> None:
    """In a group each bot is told, in its own sequence; in a private chat only one is."""
    await street.control("POST", "/bots", token="777:x", username="other_bot")
    group = await street.chat("group")
    told = await street.control("POST", "/send", chat_id=group, text="hi all")
    assert [each["bot_id"] for each in told["updates"]] == [123456, 777]
    told = await street.control("POST", "/send", chat_id=42, text="hi you", bot_id=777)
    assert [each["bot_id"] for each in told["updates"]] == [777]
