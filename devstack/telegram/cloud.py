"""The simulated Telegram as one value: what exists, what is remembered, and the conditions it runs under."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from devstack.telegram.arguments import Arguments
from devstack.telegram.clock import Clock
from devstack.telegram.faults import Faults
from devstack.telegram.flood import Flood
from devstack.telegram.records import Moment, Records
from devstack.telegram.refusals import bad_request, conflict
from devstack.telegram.updates import Polling, UpdateQueue
from devstack.telegram.webhook import Courier, Hook, Webhook
from devstack.telegram.world import Bot, User, World

MOST_PRESSES = 100_000


@dataclass(frozen=True)
class Conditions:
    """How strict the simulator is.

    `local` lifts the webhook's demands for HTTPS, port and public address, as Telegram's own server does
    with --local; `front_end` answers 404 for a wrong token, as api.telegram.org does; a press may be
    answered for `callback_seconds`.
    """

    local: bool = True
    front_end: bool = False
    callback_seconds: float = 15.0


@dataclass
class Cloud:
    """Everything a method call or the control API can reach."""

    world: World
    clock: Clock
    flood: Flood
    faults: Faults
    records: Records
    courier: Courier
    conditions: Conditions
    chance: random.Random
    keep: int
    """How many records of each kind, and messages, are remembered."""
    reply: Callable[["Cloud", Bot, str, bytes], Awaitable[None]]
    """Performs the call that a webhook's answer holds: content type and body."""
    awaited: dict[str, asyncio.Event] = field(default_factory=dict)
    """Presses whose answer somebody waits for, by callback query id."""

    def moment(self) -> Moment:
        """Return now, by both clocks."""
        return Moment(self.clock.time(), self.clock.monotonic())

    def add_bot(self, token: str, username: str, first_name: str | None = None) -> Bot:
        """Add a bot account; raises ValueError for a token that is not <digits>:<text>, or is taken."""
        digits, colon, secret = token.partition(":")
        if not (digits.isascii() and digits.isdigit() and colon and secret) or " " in token:
            raise ValueError("a token looks like 123456:ABC-def")
        if int(digits) in self.world.bots:
            raise ValueError(f"bot {int(digits)} exists already")
        user = User(int(digits), first_name or username, username=username, is_bot=True)
        updates = UpdateQueue(self.clock, self.chance)
        start = self.chance.randint(1, 1_000_000)
        bot = Bot(token, user, updates, Polling(updates, self.clock), start)
        self.world.bots[bot.id] = bot
        self.world.users[user.id] = user
        return bot

    def hook(self, bot: Bot, hook: Hook) -> None:
        """Start delivering a bot's updates to a webhook."""

        async def reply(content_type: str, body: bytes) -> None:
            await self.reply(self, bot, content_type, body)

        def gone() -> None:
            bot.webhook = None

        bot.webhook = Webhook(hook, bot.updates, self.courier, bot_id=bot.id, reply=reply, gone=gone)

    async def unhook(self, bot: Bot) -> None:
        """Stop delivering to the bot's webhook, if it has one."""
        webhook, bot.webhook = bot.webhook, None
        if webhook is not None:
            await webhook.stop()

    async def leave(self) -> None:
        """End what bots wait for: webhooks at work and long polls."""
        for bot in self.world.bots.values():
            bot.polling.interrupt(conflict("terminated by close request"))
            await self.unhook(bot)

    def open_press(self, bot: Bot) -> str:
        """Return the id of a new callback query, which may be answered until its deadline."""
        query_id = str(self.chance.getrandbits(62))
        now = self.clock.monotonic()
        while bot.presses and (len(bot.presses) >= MOST_PRESSES or next(iter(bot.presses.values())) < now):
            bot.presses.popitem(last=False)
        bot.presses[query_id] = now + self.conditions.callback_seconds
        return query_id

    def answered(self, query_id: str) -> None:
        """Tell whoever waits for the answer to this press."""
        if (event := self.awaited.get(query_id)) is not None:
            event.set()


@dataclass(slots=True)
class Call:
    """One call of a method: who calls, what with, when it arrived and which way it came."""

    cloud: Cloud
    bot: Bot
    arguments: Arguments
    arrived: Moment
    via: str = "http"

    @property
    def world(self) -> World:
        """What exists."""
        return self.cloud.world

    def json(self, name: str, fault: str, *, null: str | None = None) -> Any:
        """Return a JSON argument, None where it is absent or empty.

        Raises Refused with the text `fault` where it is not JSON, with `null` where it is a null.
        """
        if not self.arguments.text(name):
            return None
        try:
            value = self.arguments.json(name)
        except ValueError:
            raise bad_request(fault) from None
        if value is None:
            raise bad_request(null or fault)
        return value
