"""Telling senders of the people that the bots have met; a row knows whether it has been told."""

import asyncio
from itertools import compress
from uuid import uuid4

from services.gateway.store import User, Users
from shared import tasks, telemetry
from shared.bus import Bus, NoAnswer, Refusal
from shared.queries import PutRecipient

AT_ONCE = 100
AGAIN_SECONDS = 5.0
GATHER_SECONDS = 0.1
"""Whoever comes within so long is asked for together: under a flood of updates each of them wakes it."""

log = telemetry.logger(__name__)


class Announcer:
    """Puts everybody whose state is new into senders' directory."""

    def __init__(self, users: Users, bus: Bus) -> None:
        self._users = users
        self._bus = bus
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that somebody may be new."""
        self._woken.set()

    async def run(self) -> None:
        """Announce whoever is new, when woken and every few seconds, until cancelled."""
        while True:
            self._woken.clear()
            if await self.announce():
                await self._rest()
            else:
                # Senders is away; whoever comes meanwhile waits too.
                await asyncio.sleep(AGAIN_SECONDS)

    async def announce(self) -> bool:
        """Announce everybody who is new; False when senders did not take somebody."""
        while people := await self._users.unannounced(AT_ONCE):
            told = await asyncio.gather(*(self._tell(user) for user in people))
            await self._users.mark_announced(list(compress(people, told)))
            if not all(told):
                log.warning("recipients_not_announced", people=told.count(False))
                return False
        return True

    async def _rest(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        await tasks.wait(self._woken, AGAIN_SECONDS)

    async def _tell(self, user: User) -> bool:
        # What is told is how they are now: to tell it twice changes nothing, to leave it out would. Who was
        # forgotten since they were seen is not to come back by it.
        command = PutRecipient(
            cause=uuid4(), user_id=user.id, telegram_chat_id=user.chat_id,
            bot=user.bot, language=user.language, role=user.role.word, at=user.seen_at,
        )  # fmt: skip
        try:
            await self._bus.ask(command)
        except NoAnswer:
            return False
        except Refusal as refusal:
            if refusal.status >= 500:
                return False
            # It would be refused for ever.
            log.error("recipient_refused", user_id=str(user.id), title=refusal.title)
        return True
