"""The Bot API client: one call, and an answer that says whether anything happened.

How it is known that nothing happened: the body of a call is a payload that notes when aiohttp takes it to
the open connection. aiohttp holds the headers back and writes them together with the body, so until then
not one byte is out; and without its body a call has no effect anyway. Exceptions do not tell (a time-out
may come from the pool, from connecting, or from reading), nor do aiohttp's traces (`on_request_headers_sent`
fires before anything is written).

Nothing is sent twice: aiohttp repeats requests on dropped keep-alive connections for idempotent methods
only, never POST; redirects are not followed; a session's middlewares (which may repeat) are not applied.

The token is part of the URL. aiohttp's exceptions carry that URL, so none of them leaves this module, not
even as a cause or context of ours.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import BytesPayload, ClientError, ClientSession, ClientTimeout
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from opentelemetry import trace
from yarl import URL

from shared.failpoints import passing
from shared.telegram.answers import Ambiguous, ApiError, NothingHappened, TelegramError, classify

TOKEN = re.compile(r"([0-9]{1,18}):[A-Za-z0-9_-]+", re.ASCII)
_CONNECT_SECONDS = 10.0
_tracer = trace.get_tracer("carillon.telegram")


class _Body(BytesPayload):
    """A call's arguments, which know whether they were taken to an open connection."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self.sent = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the arguments, and note whether they could go out."""
        # aiohttp refuses to write to a transport that is closing, so then nothing goes out.
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        self.sent = transport is not None and not transport.is_closing()
        await super().write_with_length(writer, content_length)


class BotApi:
    """One bot at one Bot API server; `session` is shared and closed by whoever made it."""

    def __init__(self, token: str, api_url: str, session: ClientSession) -> None:
        found = TOKEN.fullmatch(token)
        if found is None:
            raise ValueError("a bot token is <digits>:<letters, digits, _ and ->")
        base = URL(api_url)
        if base.scheme not in {"http", "https"} or not base.host:
            raise ValueError("a Bot API server is an http or https URL")
        self.bot_id = int(found[1])
        self._token = token
        self._api_url = str(base).rstrip("/")
        self._session = session

    def __repr__(self) -> str:
        return f"BotApi(bot_id={self.bot_id})"

    async def call(
        self,
        method: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        timeout: float = 35.0,
        **more: Any,
    ) -> Any:
        """Call a method and return its result; arguments of None are left out.

        Raises ApiError, NothingHappened or Ambiguous. `timeout` (seconds) is 30 at least for sends: Telegram
        may hold a flooded send for 8 s and then deliver it.
        """
        given = {**(arguments or {}), **more}
        body = _Body(json.dumps({key: value for key, value in given.items() if value is not None}).encode())
        with _tracer.start_as_current_span(
            f"telegram {method}",
            kind=trace.SpanKind.CLIENT,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await self._answer(method, body, timeout)
            except TelegramError as error:
                kind = classify(error) if isinstance(error, ApiError) else type(error).__name__
                span.set_attribute("telegram.error", kind)
                span.set_status(trace.StatusCode.ERROR, str(error))
                raise

    async def _answer(self, method: str, body: _Body, timeout: float) -> Any:
        try:
            status, retry_after, raw = await self._post(method, body, timeout)
        except (TimeoutError, ClientError, OSError) as problem:
            why = type(problem).__name__
        else:
            return _read(method, status, retry_after, raw)
        # Raised out here, so that aiohttp's exception, which knows the URL, is not its context.
        raise Ambiguous(method, why) if body.sent else NothingHappened(method, why)

    async def _post(self, method: str, body: _Body, timeout: float) -> tuple[int, str | None, bytes]:
        async with self._session.post(
            URL(f"{self._api_url}/bot{self._token}/{method}", encoded=True),
            data=body,
            timeout=ClientTimeout(total=timeout, sock_connect=_CONNECT_SECONDS),
            allow_redirects=False,
            raise_for_status=False,
            middlewares=(),
        ) as response:
            passing("after_call")
            return response.status, response.headers.get("Retry-After"), await response.read()


def _read(method: str, status: int, retry_after: str | None, raw: bytes) -> Any:
    """Return the result in an answer; raises ApiError, and Ambiguous where the answer makes no sense."""
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and answer.get("ok") is True and "result" in answer:
        return answer["result"]
    if isinstance(answer, dict) and answer.get("ok") is False:
        raise _refusal(method, status, retry_after, answer)
    if 300 <= status < 500:
        raise _refusal(method, status, retry_after, {})
    raise Ambiguous(method, f"status {status} without an answer")


def _refusal(method: str, status: int, header: str | None, answer: Mapping[str, Any]) -> ApiError:
    parameters = answer.get("parameters")
    if not isinstance(parameters, dict):
        parameters = {}
    code = answer.get("error_code")
    if not isinstance(code, int):
        code = status
    wait = str(parameters.get("retry_after", header))
    return ApiError(
        method,
        code,
        str(answer.get("description", "")),
        retry_after=max(1, int(wait) if wait.isdecimal() else 1) if code == 429 else None,
        migrate_to_chat_id=parameters.get("migrate_to_chat_id"),
    )
