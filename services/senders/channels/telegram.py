"""Telegram: one attempt over the Bot API, and what its answer means for a delivery."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from services.senders.domain.sending import (
    Ambiguous,
    Answer,
    Later,
    Migrated,
    Outgoing,
    Refused,
    Sent,
    Stopped,
    TelegramContent,
    TelegramTarget,
)
from shared import events, metrics, telegram
from shared.bots import Bot
from shared.markdown import bot_api_button
from shared.telegram import ApiError, BotApi, Reason, classify

CHAT_SECONDS = 3.0
"""Whoever asks for a chat waits for it."""

_ANSWERS: Mapping[Reason, Answer] = {
    Reason.BLOCKED: Refused("blocked", suppresses=True),
    Reason.KICKED: Refused("kicked", suppresses=True),
    Reason.NOT_MEMBER: Refused("kicked", suppresses=True),
    Reason.DEACTIVATED: Refused("deactivated", suppresses=True),
    # These end when the user writes to the bot, or a right is given. Nobody tells us, so they suppress
    # nothing.
    Reason.NOT_STARTED: Refused("rejected"),
    Reason.NO_RIGHTS: Refused("rejected"),
    Reason.CHAT_NOT_FOUND: Refused("chat_not_found"),
    Reason.INVALID: Refused("invalid"),
    Reason.UNAUTHORIZED: Stopped("unauthorized"),
    Reason.NOT_FOUND_FRONT_END: Stopped("not_found"),
    Reason.SERVER_ERROR: Ambiguous("server_error"),
}


class TelegramChannel:
    """Telegram, as several bots."""

    name = events.Channel.TELEGRAM

    def __init__(self, bots: Mapping[str, BotApi], seconds: float) -> None:
        self._bots = bots
        self._seconds = seconds

    @classmethod
    @asynccontextmanager
    async def open(
        cls, bots: Mapping[str, Bot], api_url: str, *, seconds: float
    ) -> AsyncIterator["TelegramChannel"]:
        """Keep a channel while the context lasts; `seconds` (30 at least, for flood waits) bounds a call."""
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=100)
        ) as session:
            known = {
                name: BotApi(bot.token.get_secret_value(), api_url, session) for name, bot in bots.items()
            }
            yield cls(known, seconds)

    async def chat(self, bot: str, name: str) -> Mapping[str, Any]:
        """Return the Chat that has an @name, as a bot sees it; KeyError for a bot of others.

        What Telegram refuses or does not answer is raised as the Bot API client does.
        """
        found: Mapping[str, Any] = await self._bots[bot].call("getChat", chat_id=name, timeout=CHAT_SECONDS)
        return found

    async def send(self, item: Outgoing) -> Answer:
        """Send or edit one message."""
        bot = self._bots.get(item.bot or "")
        if bot is None or not isinstance(item.content, TelegramContent):
            return Refused("invalid")
        if not isinstance(item.to, TelegramTarget):
            return Refused("invalid")
        method, arguments = _call(item, item.to, item.content)
        try:
            result = await bot.call(method, arguments, timeout=self._seconds)
        except ApiError as error:
            metrics.TELEGRAM_ERRORS.labels(error_type=classify(error)).inc()
            return _answer(error, item.content)
        except telegram.NothingHappened:
            metrics.TELEGRAM_ERRORS.labels(error_type="connect").inc()
            return Later(None, "down")
        except telegram.Ambiguous as error:
            metrics.TELEGRAM_ERRORS.labels(error_type="ambiguous").inc()
            return Ambiguous("timeout" if "timeout" in error.why.casefold() else "connection_lost")
        return Sent(str(result["message_id"] if isinstance(result, dict) else item.content.edit))


def _call(item: Outgoing, to: TelegramTarget, content: TelegramContent) -> tuple[str, dict[str, Any]]:
    keyboard = [[bot_api_button(button, item.delivery_id) for button in row] for row in content.buttons]
    arguments: dict[str, Any] = {
        "chat_id": to.chat_id,
        "text": content.text,
        "parse_mode": content.parse_mode,
        "reply_markup": {"inline_keyboard": keyboard} if keyboard else None,
    }
    if content.edit is not None:
        return "editMessageText", arguments | {"message_id": content.edit}
    if content.reply_to is not None:
        # What was answered may be gone by now: the answer goes out all the same.
        reply = {"message_id": content.reply_to, "allow_sending_without_reply": True}
        arguments["reply_parameters"] = reply
    return "sendMessage", arguments


def _answer(error: ApiError, content: TelegramContent) -> Answer:
    reason = classify(error)
    if reason is Reason.THROTTLED:
        return Later(float(error.retry_after or 1), "throttled")
    if reason is Reason.MIGRATED:
        new_chat_id = error.migrate_to_chat_id
        return Migrated(new_chat_id) if new_chat_id is not None else Refused("chat_not_found")
    if reason is Reason.NOT_MODIFIED:
        return Sent(str(content.edit))
    return _ANSWERS[reason]
