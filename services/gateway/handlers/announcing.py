"""Telling senders of the people that the bots have met; a row knows whether it has been told.

Many are told of by one question. A senders that is older than this question is as one that is away: nobody
listens to it, and everybody is told of as soon as a newer one does. To ask the older one about each by
themselves would be a second way for the minutes of an upgrade, and what is told waits well: replies go to the
chat, and need no introduction.
"""

import asyncio
from collections.abc import Sequence
from itertools import compress
from uuid import uuid4

from services.gateway.store import User, Users
from shared import tasks, telemetry
from shared.bus import Bus, NoAnswer, Refusal
from shared.queries import INTRODUCED_AT_ONCE, Introduced, IntroduceRecipients, Introduction

ASK_SECONDS = 15.0
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
        """Announce everybody who is new; False when senders takes none of those who are left."""
        while people := await self._users.unannounced(INTRODUCED_AT_ONCE):
            told = await self._tell(people)
            if not any(told):
                log.warning("recipients_not_announced", people=len(people))
                return False
            await self._users.mark_announced(list(compress(people, told)))
        return True

    async def _rest(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        await tasks.wait(self._woken, AGAIN_SECONDS)

    async def _tell(self, people: Sequence[User]) -> list[bool]:
        """Introduce people; say of each whether senders knows them now, or would refuse them for ever."""
        question = IntroduceRecipients(people=tuple(map(_introduction, people)))
        try:
            items: Sequence[Introduced] = (await self._bus.ask(question, timeout=ASK_SECONDS)).items
        except NoAnswer:
            return [False for _ in people]
        except Refusal as refusal:
            if refusal.status < 500 and len(people) > 1:
                # One of them is to blame: the others are not to be refused with them.
                half = len(people) // 2
                return [*await self._tell(people[:half]), *await self._tell(people[half:])]
            items = [
                Introduced(user_id=each.id, status=refusal.status, title=refusal.title) for each in people
            ]
        for each in items:
            if 400 <= each.status < 500:
                log.error("recipient_refused", user_id=str(each.user_id), title=each.title)
        return [each.status < 500 for each in items]


def _introduction(user: User) -> Introduction:
    # What is told is how they are now: to tell it twice changes nothing, to leave it out would. Who was
    # forgotten since they were seen is not to come back by it.
    return Introduction(
        cause=uuid4(), user_id=user.id, telegram_chat_id=user.chat_id,
        bot=user.bot, language=user.language, role=user.role.word, at=user.seen_at,
    )  # fmt: skip
