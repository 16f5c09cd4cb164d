"""Telegram's webhook: an update is in the stream, fsynced, before Telegram is told that it arrived."""

import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from services.gateway.api.boundary import note, problem_of
from services.gateway.api.headers import whole
from services.gateway.api.intake import Intake
from services.gateway.api.plain import Head
from services.gateway.api.problems import CONTENT_TYPE, Problem
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.networks import Network, client_address, is_allowed
from services.gateway.domain.reading import NotJson, read_json
from services.gateway.domain.updates import update_id_in
from shared import metrics, telemetry

SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name
ROUTE = "/telegram/{bot}/webhook"
JSON = "application/json"
_SECRET, _FORWARDED = SECRET.lower().encode(), b"x-forwarded-for"
_NOBODYS = secrets.token_bytes(32)
_SPAN = f"POST {ROUTE}"
_ATTRIBUTES = {"http.request.method": "POST", "http.route": ROUTE}


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
        given = request.headers.get(SECRET)
        bot = self._admitted(
            request.match_info["bot"],
            given.encode("utf-8", "surrogateescape") if given is not None else None,
            request.remote,
            request.headers.getall("X-Forwarded-For", ()),
        )
        if not isinstance(bot, DoorBot):
            raise _refused(bot)
        if request.content_type != JSON:
            raise Problem(415, "Unsupported media type", "expected application/json")
        said = await self._take(bot, await request.read())
        return web.Response(body=said, content_type=JSON) if said else web.Response()

    def admits(self, head: Head, peer: str | None) -> DoorBot | None:
        """Return the bot that a plain request may speak to, if it may."""
        forwarded = head.headers.get(_FORWARDED)
        hops = (forwarded.decode(),) if forwarded is not None else ()
        bot = self._admitted(head.bot, head.headers.get(_SECRET), peer, hops)
        return bot if isinstance(bot, DoorBot) else None

    async def answer(self, bot: DoorBot, head: Head, body: bytes) -> bytes:
        """Take an update that came by a plain request; return the whole answer, whatever happens."""
        with telemetry.continued(head.trace()), telemetry.request_span(_SPAN, _ATTRIBUTES) as span:
            try:
                said = await self._take(bot, body)
                status, answer = 200, whole(200, said, JSON if said else "")
            except Exception as error:  # noqa: BLE001 - the outermost boundary of a plain request
                problem = error if isinstance(error, Problem) else problem_of(error)
                status = problem.status
                answer = whole(status, problem.body(), CONTENT_TYPE, problem.headers)
            note(span, ROUTE, "POST", status)
        return answer

    async def _take(self, bot: DoorBot, body: bytes) -> bytes:
        """Store an update; return what is answered."""
        started = time.perf_counter()
        update, update_id = _read(body)
        answer = await self._intake.take(bot, update, update_id, body)
        metrics.UPDATE_SECONDS.observe(time.perf_counter() - started)
        return orjson.dumps({"method": "answerCallbackQuery", **answer}) if answer is not None else b""

    def _admitted(
        self, name: str, secret: bytes | None, peer: str | None, forwarded: Sequence[str]
    ) -> DoorBot | str:
        """Return the bot that a request may speak to, or the word for why it may not."""
        if self._allowed and not is_allowed(client_address(peer, forwarded, self._trusted), self._allowed):
            # Before anything else: strangers need not learn which bots there are.
            return "address"
        bot = self._bots.get(name)
        expected = bot.secret if bot is not None and bot.secret is not None else _NOBODYS
        is_right = secret is not None and hmac.compare_digest(secret, expected)
        if bot is None or bot.secret is None:
            # Compared all the same: whoever has no secret learns of no name whether a bot has it.
            return "bot"
        if is_right:
            return bot
        return "secret_missing" if secret is None else "secret_wrong"


def _read(body: bytes) -> tuple[dict[str, Any], int]:
    try:
        update = read_json(body)
    except NotJson as error:
        raise Problem(400, "Bad request", str(error)) from None
    update_id = update_id_in(update)
    if update_id is None:
        raise Problem(400, "Bad request", "there is no integer update_id")
    return update, update_id


def _refused(reason: str) -> Problem:
    metrics.VERIFICATION_FAILURES.labels(reason=reason).inc()
    return Problem(403, "Forbidden")
