"""What Telegram knows of the bot: its user name, and the commands it shows to each role."""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.gateway.bot import texts
from services.gateway.bot.registry import Command, Registry
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.roles import Role
from services.gateway.store import Entry, PublishedCommands, User, Users
from shared import telemetry
from shared.telegram import ApiError, BotApi, TelegramError

AGAIN_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
LOOK_SECONDS = 5.0
AT_ONCE = 100
PACE_SECONDS = 0.05
"""Between two people: Telegram counts these calls too."""

log = telemetry.logger(__name__)


class Menu:
    """Learns the bots' user names, publishes their commands, and keeps people's menus to their roles."""

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

    async def follow_roles(self) -> None:
        """Show people the commands of their role, whenever it changes, until cancelled."""
        while True:
            await self._tell_everybody()
            await asyncio.sleep(LOOK_SECONDS)

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
        await self._set(api, self._registry.visible_to(Role.PUBLIC), {"type": "default"})
        in_groups = self._registry.visible_to(Role.PUBLIC, in_groups=True)
        await self._set(api, in_groups, {"type": "all_group_chats"})
        entries = [
            Entry(each.name, each.category, each.description, each.role)
            for each in self._registry.visible_to(Role.OWNER)
        ]
        await self._published.replace(bot.name, entries, self._now())

    async def _tell_everybody(self) -> None:
        digests = {role: self._digest(role) for role in Role}
        while people := await self._users.untold_menus(digests, AT_ONCE):
            for user in people:
                if not await self._tell(user):
                    # Telegram is away: whoever is left waits for the next look.
                    return
                await self._users.menu_told(user, digests[user.role])
                await asyncio.sleep(PACE_SECONDS)

    async def _tell(self, user: User) -> bool:
        """Have every bot show a person their commands; False when one could not be told for now."""
        scope = {"type": "chat", "chat_id": user.telegram_id}
        for bot, api in self._bots:
            try:
                if user.role is Role.PUBLIC:
                    await self._clear(api, scope)
                else:
                    await self._set(api, self._registry.visible_to(user.role), scope)
            except ApiError as error:
                # People who have never written to this bot have no menu there.
                log.info("commands_not_published_for_role", bot=bot.name, error=str(error))
                if error.code == 429 or error.code >= 500:
                    return False
            except TelegramError as error:
                log.warning("commands_not_published_for_role", bot=bot.name, error=str(error))
                return False
        return True

    async def _set(self, api: BotApi, commands: Sequence[Command], scope: Mapping[str, Any]) -> None:
        for language in texts.TEXTS:
            code = None if language == texts.FALLBACK else language
            written = _written(commands, language)
            await api.call("setMyCommands", commands=written, scope=scope, language_code=code)

    async def _clear(self, api: BotApi, scope: Mapping[str, Any]) -> None:
        for language in texts.TEXTS:
            code = None if language == texts.FALLBACK else language
            await api.call("deleteMyCommands", scope=scope, language_code=code)

    def _digest(self, role: Role) -> str:
        """Name what Telegram is to show a role; empty for what it shows to everybody."""
        if role is Role.PUBLIC:
            return ""
        shown = [_written(self._registry.visible_to(role), language) for language in texts.TEXTS]
        return hashlib.sha256(repr(shown).encode()).hexdigest()


def _written(commands: Sequence[Command], language: str) -> list[dict[str, str]]:
    return [{"command": each.name, "description": each.described(language)} for each in commands]
