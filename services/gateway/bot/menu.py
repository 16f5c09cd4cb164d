"""What Telegram knows of the bot: its user name, and the commands it shows to each role."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.gateway.bot.registry import Command, Registry
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.roles import Role
from services.gateway.store import Entry, PublishedCommands, Users
from shared import telemetry
from shared.telegram import BotApi, TelegramError

AGAIN_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

log = telemetry.logger(__name__)


class Menu:
    """Learns the bots' user names and publishes their commands, in the background, until both are done."""

    def __init__(
        self,
        registry: Registry,
        bots: Sequence[tuple[DoorBot, BotApi]],
        users: Users,
        published: PublishedCommands,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._bots = bots
        self._users = users
        self._published = published
        self._now = now

    async def settle(self) -> None:
        """Do it for every bot; one that Telegram does not know holds up no other."""
        await asyncio.gather(*(self._settle(bot, api) for bot, api in self._bots))

    async def _settle(self, bot: DoorBot, api: BotApi) -> None:
        await self._until_done("bot_name_unknown", bot, lambda: self._learn_name(bot, api))
        await self._until_done("commands_not_published", bot, lambda: self._publish(bot, api))

    async def _until_done(self, event: str, bot: DoorBot, do: Callable[[], Awaitable[None]]) -> None:
        for tries in itertools.count():
            try:
                await do()
            except TelegramError as error:
                log.warning(event, bot=bot.name, error=str(error))
                await asyncio.sleep(AGAIN_SECONDS[min(tries, len(AGAIN_SECONDS) - 1)])
            else:
                return

    async def _learn_name(self, bot: DoorBot, api: BotApi) -> None:
        me: Mapping[str, Any] = await api.call("getMe")
        bot.username = str(me["username"])
        log.info("bot_known", bot=bot.name, username=bot.username)

    async def _publish(self, bot: DoorBot, api: BotApi) -> None:
        everyone = self._registry.visible_to(Role.PUBLIC)
        await api.call("setMyCommands", commands=_written(everyone), scope={"type": "default"})
        for telegram_id, role in (await self._people()).items():
            await self._publish_for(bot, api, telegram_id, self._registry.visible_to(role))
        entries = [
            Entry(each.name, each.category, each.description, each.role)
            for each in self._registry.visible_to(Role.OWNER)
        ]
        await self._published.replace(bot.name, entries, self._now())

    async def _people(self) -> dict[int, Role]:
        people = {user.telegram_id: user.role for user in await self._users.privileged()}
        return {**people, **dict.fromkeys(self._users.owners, Role.OWNER)}

    async def _publish_for(
        self, bot: DoorBot, api: BotApi, telegram_id: int, commands: Sequence[Command]
    ) -> None:
        """Show a role its commands; Telegram refuses for people who have never written to the bot."""
        scope = {"type": "chat", "chat_id": telegram_id}
        try:
            await api.call("setMyCommands", commands=_written(commands), scope=scope)
        except TelegramError as error:
            log.info("commands_not_published_for_role", bot=bot.name, error=str(error))


def _written(commands: Sequence[Command]) -> list[dict[str, str]]:
    return [{"command": each.name, "description": each.description} for each in commands]
