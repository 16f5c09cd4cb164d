"""Long polling: updates for a bot without a public address, on the same path as the webhook's.

One replica polls for a bot, whoever holds its lock. An update is confirmed to Telegram, by the offset of the
next call, only when it is in the stream, fsynced: whatever happens before that, it comes again.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson

from services.gateway.api.intake import Answer, Intake
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.updates import HANDLED, update_id_in
from shared import telemetry
from shared.bus import BusUnavailable, TooLarge
from shared.database import Database, Lock
from shared.telegram import ApiError, BotApi, TelegramError
from shared.text import clean

POLL_SECONDS = 25
STANDBY_SECONDS = 2.0
AGAIN_SECONDS = 2.0
MISCONFIGURED_SECONDS = 30.0
"""Until a poll that Telegram refuses is tried again: a person has to do something first."""
AT_ONCE = 8

log = telemetry.logger(__name__)


class Poller:
    """Polls for one bot while this replica holds the lock, and stands by while another one does."""

    def __init__(self, bot: DoorBot, api: BotApi, intake: Intake, database: Database) -> None:
        self._bot = bot
        self._api = api
        self._intake = intake
        self._database = database
        self._room = asyncio.Semaphore(AT_ONCE)
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> NoReturn:
        """Poll, or stand by, until cancelled; raises what the database raises when it is away."""
        while True:
            async with self._database.lock(f"poll {self._bot.id}") as lock:
                if lock is not None:
                    log.info("polling", bot=self._bot.name)
                    await self._poll(lock)
            await asyncio.sleep(STANDBY_SECONDS)

    async def _poll(self, lock: Lock) -> NoReturn:
        """Poll for as long as the lock is held."""
        offset: int | None = None
        while True:
            await lock.check()
            try:
                offset = await self._take(await self._updates(offset)) or offset
            except TelegramError as error:
                await asyncio.sleep(self._said(error))
            except BusUnavailable as error:
                # Unconfirmed, they come again; those that are stored already are known by their ids.
                log.warning("updates_not_stored", bot=self._bot.name, error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    async def _updates(self, offset: int | None) -> list[Any]:
        asked = {
            "offset": offset, "timeout": POLL_SECONDS, "limit": 100, "allowed_updates": list(HANDLED),
        }  # fmt: skip
        found = await self._api.call("getUpdates", asked, timeout=POLL_SECONDS + 15.0)
        return found if isinstance(found, list) else []

    async def _take(self, updates: list[Any]) -> int | None:
        """Store updates in their order; return the offset that confirms them."""
        known = [(clean(each), number) for each in updates if (number := update_id_in(each)) is not None]
        # Begun in their order, they go into the stream in their order, and share an fsync.
        answers = await asyncio.gather(*(self._store(update, number) for update, number in known))
        for answer in answers:
            if answer is not None:
                task = asyncio.create_task(self._answer(answer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        return max((number for _, number in known), default=-1) + 1 or None

    async def _store(self, update: dict[str, Any], update_id: int) -> Answer | None:
        body = orjson.dumps(update)
        try:
            return await self._intake.take(self._bot, update, update_id, body)
        except TooLarge:
            # It would come for ever, and hold up whatever comes after it.
            await self._intake.note_too_large(self._bot, update, update_id, len(body))
            return None

    async def _answer(self, answer: Answer) -> None:
        """Answer a press; who waits no longer has seen the button stop by itself."""
        arguments: Mapping[str, Any] = answer
        async with self._room:
            try:
                await self._api.call("answerCallbackQuery", arguments, timeout=10.0)
            except TelegramError as error:
                log.info("press_not_answered", bot=self._bot.name, error=str(error))

    def _said(self, error: TelegramError) -> float:
        """Say what keeps this bot from polling; return for how many seconds there is no use in trying."""
        if not isinstance(error, ApiError):
            log.warning("polling_failed", bot=self._bot.name, error=str(error))
            return AGAIN_SECONDS
        if error.code == 409 and "webhook" in error.description.casefold():
            log.error("polling_blocked_by_webhook", bot=self._bot.name, how="carillon webhook delete")
            return MISCONFIGURED_SECONDS
        if error.code == 409:
            log.error(
                "polling_conflict",
                bot=self._bot.name,
                how="somebody else polls for this bot: stop one of them",
            )
            return AGAIN_SECONDS
        if error.code in {401, 404}:
            log.error("polling_refused", bot=self._bot.name, how="check the bot's token", error=str(error))
            return MISCONFIGURED_SECONDS
        log.warning("polling_failed", bot=self._bot.name, error=str(error))
        return float(error.retry_after or AGAIN_SECONDS)
