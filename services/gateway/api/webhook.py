"""Telegram's webhook: an update is in the stream, fsynced, before Telegram is told that it arrived.

This is the hot path: no database, no question to anybody, one event per update.
"""

import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from services.gateway.api.problems import Problem
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.networks import Network, client_address, is_allowed
from services.gateway.domain.reading import NotJson, is_deep, read_json
from services.gateway.domain.updates import Press, kind_of, press_of, query_id_of, update_id_in
from shared import metrics
from shared.bus import Bus, BusUnavailable, TooLarge
from shared.events import ButtonClicked, UpdateReceived, click_id, update_id_of

SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name
SECONDS = 5.0
DEEP = "deep"


class Webhook:
    """Receives updates for all bots; `allowed` and `trusted` are the networks of Telegram and of proxies."""

    def __init__(
        self,
        bus: Bus,
        bots: Mapping[str, DoorBot],
        *,
        allowed: Sequence[Network],
        trusted: Sequence[Network],
        now: Callable[[], datetime],
    ) -> None:
        self._bus = bus
        self._bots = bots
        self._allowed = allowed
        self._trusted = trusted
        self._now = now

    async def receive(self, request: web.Request) -> web.Response:
        """Take an update; the response to a press carries its answer."""
        started = time.perf_counter()
        bot = self._verified(request)
        if request.content_type != "application/json":
            raise Problem(415, "Unsupported media type", "expected application/json")
        update, update_id, body = await _read(request)
        press = press_of(update)
        if press is not None:
            kind = "callback_query"
            answer: dict[str, str] | None = _answer_to_press(press, bot)
            event: ButtonClicked | UpdateReceived = self._click(press, bot, update_id)
        else:
            kind, answer = kind_of(update), _answer_to_query(update)
            if is_deep(update, body):
                # Readers of events refuse such depths: kept as the text that it came as.
                update = {"update_id": update_id, DEEP: body.decode(errors="replace")}
            event = UpdateReceived(
                id=update_id_of(bot.id, update_id), at=self._now(), bot=bot.name, bot_id=bot.id,
                update_id=update_id, kind=kind, update=update,
            )  # fmt: skip
        await self._publish(event, bot.name, kind)
        metrics.UPDATE_SECONDS.observe(time.perf_counter() - started)
        if answer is None:
            return web.Response()
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    def _verified(self, request: web.Request) -> DoorBot:
        bot = self._bots.get(request.match_info["bot"])
        if bot is None:
            raise Problem(404, "Not found", "there is no such bot")
        if self._allowed:
            forwarded = request.headers.getall("X-Forwarded-For", ())
            if not is_allowed(client_address(request.remote, forwarded, self._trusted), self._allowed):
                raise _refused("address")
        secret = request.headers.get(SECRET)
        if secret is None:
            raise _refused("secret_missing")
        if not hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), bot.secret):
            raise _refused("secret_wrong")
        return bot

    def _click(self, press: Press, bot: DoorBot, update_id: int) -> ButtonClicked:
        return ButtonClicked(
            id=click_id(bot.id, update_id), at=self._now(), payload=press.payload,
            delivery_id=press.delivery_id, bot=bot.name, bot_id=bot.id, update_id=update_id,
            person=press.person, chat_id=press.chat_id, message_id=press.message_id, cta_text=press.cta_text,
        )  # fmt: skip

    async def _publish(self, event: ButtonClicked | UpdateReceived, bot: str, kind: str) -> None:
        status = "accepted"
        try:
            await self._bus.publish(event, seconds=SECONDS)
        except (BusUnavailable, TooLarge) as error:
            status = "too_large" if isinstance(error, TooLarge) else "unavailable"
            raise
        finally:
            metrics.counter(metrics.UPDATES, bot, kind, status).inc()


async def _read(request: web.Request) -> tuple[dict[str, Any], int, bytes]:
    body = await request.read()
    try:
        update = read_json(body)
    except NotJson as error:
        raise Problem(400, "Bad request", str(error)) from None
    update_id = update_id_in(update)
    if update_id is None:
        raise Problem(400, "Bad request", "there is no integer update_id")
    return update, update_id, body


def _refused(reason: str) -> Problem:
    metrics.VERIFICATION_FAILURES.labels(reason=reason).inc()
    return Problem(403, "Forbidden")


def _answer_to_press(press: Press, bot: DoorBot) -> dict[str, str]:
    answer = {"method": "answerCallbackQuery", "callback_query_id": press.query_id}
    if bot.username is not None:
        answer["url"] = f"https://t.me/{bot.username}?start={press.payload}"
    return answer


def _answer_to_query(update: Mapping[str, Any]) -> dict[str, str] | None:
    """Answer a callback query that no button of ours stands behind, so that it does not spin for ever."""
    query_id = query_id_of(update)
    return {"method": "answerCallbackQuery", "callback_query_id": query_id} if query_id else None
