"""Telegram's webhook: an update is in the stream, fsynced, before Telegram is told that it arrived."""

import hmac
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from services.gateway.api.intake import Intake
from services.gateway.api.problems import Problem
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.networks import Network, client_address, is_allowed
from services.gateway.domain.reading import NotJson, read_json
from services.gateway.domain.updates import update_id_in
from shared import metrics

SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name


class Webhook:
    """Receives updates for all bots; `allowed` and `trusted` are the networks of Telegram and of proxies."""

    def __init__(
        self,
        intake: Intake,
        bots: Mapping[str, DoorBot],
        *,
        allowed: Sequence[Network],
        trusted: Sequence[Network],
    ) -> None:
        self._intake = intake
        self._bots = bots
        self._allowed = allowed
        self._trusted = trusted

    async def receive(self, request: web.Request) -> web.Response:
        """Take an update; the response to a press carries its answer."""
        started = time.perf_counter()
        bot = self._verified(request)
        if request.content_type != "application/json":
            raise Problem(415, "Unsupported media type", "expected application/json")
        update, update_id, body = await _read(request)
        answer = await self._intake.take(bot, update, update_id, body)
        metrics.UPDATE_SECONDS.observe(time.perf_counter() - started)
        if answer is None:
            return web.Response()
        said = orjson.dumps({"method": "answerCallbackQuery", **answer})
        return web.Response(body=said, content_type="application/json")

    def _verified(self, request: web.Request) -> DoorBot:
        if self._allowed:
            forwarded = request.headers.getall("X-Forwarded-For", ())
            if not is_allowed(client_address(request.remote, forwarded, self._trusted), self._allowed):
                # Before anything else: strangers need not learn which bots there are.
                raise _refused("address")
        bot = self._bots.get(request.match_info["bot"])
        if bot is None or bot.secret is None:
            raise Problem(404, "Not found", "there is no such bot, or it has no webhook")
        secret = request.headers.get(SECRET)
        if secret is None:
            raise _refused("secret_missing")
        if not hmac.compare_digest(secret.encode("utf-8", "surrogateescape"), bot.secret):
            raise _refused("secret_wrong")
        return bot


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
