"""The story, step by step, on real protocols."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg

from carillon.demo.numbers import Numbers, count
from carillon.up.outside import Outside, get, post
from carillon.up.running import Options, Stack
from devstack.stage import CHANNEL
from shared.bus import Bus

BLOCKER = 1003
PRESSERS = (1001, 1002)
CAMPAIGN_SIZE = 100
KILL_AFTER = 25
CAMPAIGN_TEXT = "Our weekly market review is out."
STEP_SECONDS = 25.0

SHORTENED = {
    "ACK_WAIT_SECONDS": "3",
    "RETRY_SECONDS": "0.2,0.3,0.4,0.5,0.6",
    "SEND_LEASE_SECONDS": "3",
    "SEND_HOLD_SECONDS": "3",
    "TELEGRAM_TIMEOUT_SECONDS": "2",
}

_POISON = """
CREATE FUNCTION demo_poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a defect of this demo'; END $$;
CREATE TRIGGER demo_poison BEFORE INSERT ON telegram_webhooks FOR EACH ROW EXECUTE FUNCTION demo_poison();
"""
_DROP_ROW = "DELETE FROM marketing_clicks WHERE id = (SELECT id FROM marketing_clicks LIMIT 1)"
_CURE = "DROP TRIGGER demo_poison ON telegram_webhooks; DROP FUNCTION demo_poison();"

Say = Callable[[str], None]


class TooSlow(Exception):
    """A step did not come true in time."""


def options(folder: Path, before_services: Callable[[Outside], Awaitable[None]]) -> Options:
    """Return how the demo's stack runs."""
    return Options(
        folder, ephemeral=True, settings=SHORTENED, given=_clean(), before_services=before_services
    )


def _clean() -> dict[str, str]:
    """Return the environment without what would point the stack to a real world."""
    words = ("NATS_", "DATABASE", "TELEGRAM_", "SMTP_", "PUSH_", "PROMO_", "OWNER_")
    return {name: value for name, value in os.environ.items() if not any(word in name for word in words)}


class Story:
    """Tells what happens while it makes it happen."""

    def __init__(self, say: Say, break_: str | None) -> None:
        self._say = say
        self._break = break_
        self._began = time.monotonic()
        self._numbers = Numbers()

    async def before_services(self, world: Outside) -> None:
        """Set the stage: one of three chats has blocked the bot, long ago, so that nobody is told of it."""
        telegram = str(world.telegram_control_url)
        await post(telegram, f"/chats/{BLOCKER}/flags", {"user_blocked": True, "long_ago": True})
        if self._break == "lose-replies":
            await post(telegram, "/faults", {"kind": "reset_after", "method": "sendMessage", "times": None})

    async def tell(self, stack: Stack) -> Numbers:
        """Tell the story and return its numbers; a step that does not come true leaves its number wrong."""
        system = stack.system
        steps = (self._promo, self._presses, self._fallback, self._poison, self._campaign)
        headers = {"Authorization": f"Bearer {system.owner_key}"}
        async with aiohttp.ClientSession(stack.gateway_url, headers=headers) as api:
            for step in steps:
                try:
                    await step(stack, api)
                except TooSlow as problem:
                    self._say(f"   [red]{problem}[/red]")
        await self._break_late(stack)
        self._say("6. The audit compares every stream with every table.")
        async with Bus.open(str(system.nats_url), service="demo") as bus:
            await count(self._numbers, system, bus, CAMPAIGN_TEXT)
        self._numbers.seconds = round(time.monotonic() - self._began, 1)
        return self._numbers

    async def _promo(self, stack: Stack, _api: aiohttp.ClientSession) -> None:
        self._say(
            "1. The schedule starts: its first promo is due in three chats, one of which has blocked the bot."
        )
        await self._until(lambda: self._posts(stack, 2), "the promo was not posted in two chats")
        self._say("   Posted in two chats; the third is a failure with its reason, and held nobody up.")

    async def _presses(self, stack: Stack, _api: aiohttp.ClientSession) -> None:
        self._say("2. Two people press its button; Telegram delivers one of the presses twice.")
        telegram = str(stack.system.telegram_control_url)
        [message] = (await get(telegram, f"/chats/{CHANNEL}/messages"))["messages"] or [None]
        if message is None:
            raise TooSlow("there is no promo to press")
        for user, repeat in zip(PRESSERS, (2, 1), strict=True):
            body = {
                "chat_id": CHANNEL,
                "message_id": message["message_id"],
                "user_id": user,
                "repeat": repeat,
            }
            pressed = await post(telegram, "/press", body)
            answer = pressed["answered"] or {}
        self._say(f"   Answered in the webhook's own response: {answer.get('url', 'not at all')}")
        await self._until(
            lambda: self._rows(stack, "clicks", "marketing_clicks", 2), "two presses are not two rows"
        )
        self._say("   Two presses are two rows; the one delivered twice is one.")

    async def _fallback(self, stack: Stack, api: aiohttp.ClientSession) -> None:
        self._say("3. A position could not be closed; the trader's push subscription has expired.")
        push = str(stack.system.push_control_url)
        subscription = await post(push, "/subscriptions", {})
        await post(push, f"/subscriptions/{subscription['id']}/expire", {})
        user = str(uuid4())
        await _ask(api, "PUT", f"/api/v1/recipients/{user}", {"email": "trader@example.com"})
        keys = {name: subscription[name] for name in ("endpoint", "p256dh", "auth")}
        await _ask(api, "POST", f"/api/v1/recipients/{user}/push-subscriptions", keys)
        accepted = await _ask(api, "POST", "/api/v1/messages", _position_failure(user))
        view = await self._ended(api, accepted["id"])
        path = " → ".join(
            f"{each['channel']}: {each['reason'] or each['state']}" for each in view["deliveries"]
        )
        self._say(f"   {path}; one message, one history.")

    async def _poison(self, stack: Stack, _api: aiohttp.ClientSession) -> None:
        self._say("4. A defect in a table makes one update fail every time.")
        gateway = await asyncpg.connect(stack.system.database_url("gateway"))
        await gateway.execute(_POISON)
        telegram = str(stack.system.telegram_control_url)
        await post(
            telegram, "/send", {"chat_id": PRESSERS[0], "user_id": PRESSERS[0], "text": "/help", "wait": 5}
        )
        async with Bus.open(str(stack.system.nats_url), service="demo") as bus:
            letters: list[Any] = []

            async def arrived() -> bool:
                letters[:] = [letter async for letter in bus.dead_letters.all()]
                return bool(letters)

            try:
                await self._until(arrived, "the poisonous update did not reach the dead letters")
                self._numbers.dead_letters_before = len(letters)
                self._say(
                    f"   After {letters[0].attempts} tries it is a dead letter; everything else went on."
                )
            finally:
                await gateway.execute(_CURE)
                await gateway.close()
            before = len(await self._sent_to(stack, PRESSERS[0]))
            for letter in letters:
                await bus.dead_letters.replay(letter)
        await self._until(
            lambda: self._more_sent(stack, PRESSERS[0], before), "the replayed command was not answered"
        )
        self._say("   The defect is mended, the letter replayed: the command is answered.")

    async def _campaign(self, stack: Stack, api: aiohttp.ClientSession) -> None:
        self._say(f"5. A campaign to {CAMPAIGN_SIZE} people; in the middle of it senders is killed with -9.")
        telegram = str(stack.system.telegram_control_url)
        people = range(5001, 5001 + CAMPAIGN_SIZE)
        for person in people:
            await post(telegram, "/chats", {"type": "private", "user_id": person})
        recipients = [{"address": {"telegram_chat_id": person}} for person in people]
        body = {"channels": ["telegram"], "body": {"text": CAMPAIGN_TEXT}, "recipients": recipients}
        campaign = await _ask(api, "POST", "/api/v1/campaigns", body)
        self._numbers.campaign_intended = CAMPAIGN_SIZE
        await self._until(lambda: self._seen(stack, KILL_AFTER), "the campaign did not begin")
        pid = await stack.processes.kill("senders")
        self._say(f"   Process {pid} is gone after {len(await self._campaign_sends(stack))} messages.")
        view: dict[str, Any] = {}

        async def done() -> bool:
            async with api.get(f"/api/v1/campaigns/{campaign['id']}") as answer:
                view.update(await answer.json() if answer.status == 200 else {})
            return view.get("pending") == 0

        await self._until(done, "the campaign did not end")
        self._say(
            f"   Started again, it went on: {view['sent']} sent, {view['ambiguous']} in doubt, none twice."
        )

    async def _break_late(self, stack: Stack) -> None:
        system = stack.system
        if self._break == "send-twice":
            url = f"{system.telegram_api_url}/bot{system.bot_token}"
            await post(url, "/sendMessage", {"chat_id": 5001, "text": CAMPAIGN_TEXT})
        elif self._break == "drop-row":
            clicks = await asyncpg.connect(system.database_url("clicks"))
            await clicks.execute(
                "DELETE FROM marketing_clicks WHERE id = (SELECT min(id::text)::uuid FROM marketing_clicks)"
            )
            await clicks.close()

    # --- looking ----------------------------------------------------------------------------------------

    async def _until(self, condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline = time.monotonic() + STEP_SECONDS
        while not await condition():
            if time.monotonic() > deadline:
                raise TooSlow(otherwise)
            await asyncio.sleep(0.1)

    async def _ended(self, api: aiohttp.ClientSession, message_id: str) -> dict[str, Any]:
        view: dict[str, Any] = {}

        async def ended() -> bool:
            async with api.get(f"/api/v1/messages/{message_id}") as answer:
                view.update(await answer.json() if answer.status == 200 else {})
            return bool(view.get("state", "pending") != "pending")

        await self._until(ended, "the message did not end")
        return view

    async def _sent_to(self, stack: Stack, chat_id: int) -> list[dict[str, Any]]:
        sent = (await get(str(stack.system.telegram_control_url), "/sent"))["sent"]
        return [each for each in sent if each["chat_id"] == chat_id]

    async def _more_sent(self, stack: Stack, chat_id: int, before: int) -> bool:
        return len(await self._sent_to(stack, chat_id)) > before

    async def _campaign_sends(self, stack: Stack) -> list[dict[str, Any]]:
        sent = (await get(str(stack.system.telegram_control_url), "/sent"))["sent"]
        return [each for each in sent if each["text"] == CAMPAIGN_TEXT]

    async def _seen(self, stack: Stack, least: int) -> bool:
        return len(await self._campaign_sends(stack)) >= least

    async def _posts(self, stack: Stack, least: int) -> bool:
        sent = (await get(str(stack.system.telegram_control_url), "/sent"))["sent"]
        return len({each["chat_id"] for each in sent} & set(stack.system.chat_ids)) >= least

    async def _rows(self, stack: Stack, service: str, table: str, least: int) -> bool:
        connection = await asyncpg.connect(stack.system.database_url(service))
        rows: int = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - a constant
        await connection.close()
        return bool(rows >= least)


def _position_failure(user: str) -> dict[str, Any]:
    return {
        "user_id": user,
        "template": "position_failure_sl",
        "variables": {
            "instrument": "EUR/USD", "side": "BUY", "entry_price": "1.0850", "current_price": "1.0790",
            "loss_amount": "60.00", "broker_ticket": "T-1042",
        },
    }  # fmt: skip


async def _ask(api: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with api.request(method, path, json=body) as answer:
        found: dict[str, Any] = await answer.json(content_type=None)
        if answer.status >= 400:
            raise TooSlow(f"{method} {path}: {answer.status} {found.get('title')} {found.get('detail')}")
        return found
