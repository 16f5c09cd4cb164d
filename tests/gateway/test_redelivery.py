"""Commands that are handled again, after a process died before it could say that they were done."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from shared import ids
from shared.events import update_id_of
from tests.gateway.conftest import BOT_ID, OWNER

FIRST, SECOND = 11, 12
STATE = "SELECT role || ' ' || active || ' ' || coalesce(chosen_language, 'auto') FROM telegram_users"


async def come_again(gateway: Any, update_id: int) -> None:
    """Deliver an update once more, as the broker does when whoever handled it died before settling it."""
    reopen = text("UPDATE telegram_webhooks SET status = 'received' WHERE update_id = :id")
    await gateway.database.execute(reopen, id=update_id)
    streams = gateway.bus.streams
    event_id = str(update_id_of(BOT_ID, update_id))
    last = (await streams.cut())["UPDATES"]
    async for stored in streams.read("UPDATES", "updates.*", up_to=last):
        if stored.event_key == event_id:
            await streams.store_again(stored, stored.payload, "again")
            break
    await gateway.logged(update_id)


async def state_of(gateway: Any, user: int) -> tuple[str, Any]:
    """Return what gateway and senders know of a person."""
    user_id = ids.user_of_telegram(user)
    held = await gateway.database.value(text(f"{STATE} WHERE id = :id"), id=user_id)
    known = gateway.peers.recipients.get(user_id)
    return held, known and (known.opted_out, known.muted, known.quiet_hours, known.time_zone)


@pytest.mark.parametrize(
    ("sender", "older", "newer"),
    [
        (OWNER, "/role 5 admin", "/role 5 subscriber"),
        (OWNER, "/admin restore 5", "/admin suspend 5"),
        (5, "/newsletter on", "/stop"),
        (5, "/newsletter off", "/settings news on"),
        (5, "/settings language es", "/settings language auto"),
        (5, "/settings channels email off", "/settings channels email on"),
        (5, "/settings quiet 22-7", "/settings quiet 23-8"),
        (5, "/settings zone Asia/Dubai", "/settings zone Europe/Madrid"),
    ],
)
async def test_an_older_command_undoes_no_newer_one(
    gateway: Any, sender: int, older: str, newer: str
) -> None:
    """A command that is handled again after a newer one about the same thing changes nothing."""
    assert (await gateway.hook(gateway.message(1, "/start")))[0] == 200
    await gateway.logged(1)
    await asyncio.wait_for(announced(gateway, 5), 60)
    states = []
    for number, words in ((FIRST, older), (SECOND, newer)):
        assert (await gateway.hook(gateway.message(number, words, user=sender)))[0] == 200
        assert (await gateway.logged(number))["status"] == "handled"
        states.append(await state_of(gateway, 5))
    assert states[0] != states[1]
    await come_again(gateway, FIRST)
    assert (await gateway.logged(FIRST))["status"] == "handled"
    assert await state_of(gateway, 5) == states[1]


async def test_a_newer_role_stands_against_an_older_subscription(gateway: Any) -> None:
    """Whoever was made a subscriber after leaving stays one when the leaving is handled again."""
    for number, user, words in (
        (1, 5, "/newsletter on"),
        (FIRST, 5, "/stop"),
        (SECOND, OWNER, "/role 5 subscriber"),
    ):
        assert (await gateway.hook(gateway.message(number, words, user=user)))[0] == 200
        await gateway.logged(number)
    await come_again(gateway, FIRST)
    assert (await state_of(gateway, 5))[0].startswith("subscriber")


async def announced(gateway: Any, user: int) -> None:
    """Wait until senders knows somebody."""
    while ids.user_of_telegram(user) not in gateway.peers.recipients:
        await asyncio.sleep(0.02)
