"""A caller always knows whether a call had an effect, and nobody ever sees the token."""

import asyncio
import contextlib
import json
import logging
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import (
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    TCPConnector,
    TraceConfig,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from shared.telegram import Ambiguous, ApiError, BotApi, NothingHappened, TelegramError
from shared.telegram.client import _Body

TOKEN = "12345:AAE_secret-TOKEN_never_seen"
OK = b'{"ok":true,"result":{"message_id":7}}'


class Wire:
    """One connection from the server's side, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: "Server") -> None:
        self._reader, self._writer, self._server = reader, writer, server

    async def begin(self) -> None:
        """Read the first byte of a request."""
        await self._reader.readexactly(1)

    async def read(self) -> bytes:
        """Read a request, headers and body, and count it."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        self._server.requests.append(head + await self._reader.readexactly(length))
        return self._server.requests[-1]

    async def answer(self, body: bytes = OK, status: str = "200 OK", *headers: str) -> None:
        """Answer what was read, and keep the connection."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        await self.say("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def say(self, raw: bytes) -> None:
        """Send these bytes and nothing else."""
        self._writer.write(raw)
        await self._writer.drain()

    def reset(self) -> None:
        """Break the connection without a goodbye."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self._writer.transport.abort()


Conduct = Callable[[Wire], Awaitable[None]]


class Server:
    """A server with a conduct, and every request that it has read."""

    def __init__(self, conduct: Conduct) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._conduct = conduct
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._conduct(Wire(reader, writer, self))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Serve = Callable[[Conduct], Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers that misbehave as told."""
    servers: list[Server] = []

    async def start(conduct: Conduct) -> Server:
        server = Server(conduct)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """The session that a service's bots share."""
    async with ClientSession() as session:
        yield session


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Every span that ends during the test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("shared.telegram.client._tracer", provider.get_tracer("test"))
    return exporter


async def answering(wire: Wire) -> None:
    """Answer every call."""
    while True:
        await wire.read()
        await wire.answer()


async def silent(wire: Wire) -> None:
    """Read a call and say nothing."""
    await wire.read()
    await asyncio.Event().wait()


async def deaf(wire: Wire) -> None:
    """Accept a connection and never read."""
    await asyncio.Event().wait()


async def hanging_up(wire: Wire) -> None:
    """Read a call and hang up."""
    await wire.read()


async def resetting(wire: Wire) -> None:
    """Read a call and break the connection."""
    await wire.read()
    wire.reset()


async def half_answering(wire: Wire) -> None:
    """Hang up in the middle of an answer."""
    await wire.read()
    await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + OK)


async def stuttering(wire: Wire) -> None:
    """Stop in the middle of an answer."""
    await wire.read()
    await wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await asyncio.Event().wait()


async def babbling(wire: Wire) -> None:
    """Answer with what is not HTTP."""
    await wire.read()
    await wire.say(b"SMTP ready\r\n\r\n")


def telling(body: bytes, status: str, *headers: str) -> Conduct:
    """Read a call and answer it so."""

    async def conduct(wire: Wire) -> None:
        await wire.read()
        await wire.answer(body, status, *headers)

    return conduct


async def test_a_result_is_returned_and_arguments_of_none_are_left_out(
    serve: Serve, session: ClientSession
) -> None:
    """The Bot API takes null for the word "null"; an argument may have any name, even `timeout`."""
    server = await serve(answering)
    api = BotApi(TOKEN, server.url + "/", session)
    result = await api.call(
        "sendMessage", {"timeout": 50}, chat_id=1, text="é", reply_markup=None, timeout=40
    )
    assert result == {"message_id": 7}
    (request,) = server.requests
    assert request.startswith(f"POST /bot{TOKEN}/sendMessage HTTP/1.1\r\n".encode())
    assert b"Content-Type: application/json\r\n" in request
    assert json.loads(request.partition(b"\r\n\r\n")[2]) == {"timeout": 50, "chat_id": 1, "text": "é"}


async def test_calls_share_a_connection(serve: Serve, session: ClientSession) -> None:
    """A connection costs more than a call."""
    server = await serve(answering)
    api = BotApi(TOKEN, server.url, session)
    for _ in range(3):
        await api.call("getMe")
    assert (len(server.requests), server.connections) == (3, 1)


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        ("403 Forbidden", {"ok": False, "error_code": 403, "description": "Forbidden: bot was kicked"},
         (), (403, "Forbidden: bot was kicked", None, None)),
        ("429 Too Many Requests", {"ok": False, "error_code": 429, "description": "Too Many Requests",
                                   "parameters": {"retry_after": 7}},
         ("Retry-After: 9",), (429, "Too Many Requests", 7, None)),
        ("429 Too Many Requests", {"ok": False, "error_code": 429}, ("Retry-After: 9",), (429, "", 9, None)),
        ("429 Too Many Requests", {"ok": False, "error_code": 429, "parameters": {"retry_after": 0}},
         (), (429, "", 1, None)),
        ("400 Bad Request", {"ok": False, "error_code": 400, "description": "upgraded",
                             "parameters": {"migrate_to_chat_id": -1001234567890}},
         (), (400, "upgraded", None, -1001234567890)),
        ("500 Internal Server Error", {"ok": False, "error_code": 500, "description": "Internal"},
         (), (500, "Internal", None, None)),
        ("400 Bad Request", {"ok": False, "error_code": "x", "description": 5, "parameters": []},
         (), (400, "5", None, None)),
        ("404 Not Found", "<html>", (), (404, "", None, None)),
        ("429 Too Many Requests", "<html>", ("Retry-After: 3",), (429, "", 3, None)),
        ("307 Temporary Redirect", "", ("Location: /elsewhere",), (307, "", None, None)),
    ],
)  # fmt: skip
async def test_a_refusal_is_told_with_all_its_facts(
    serve: Serve,
    session: ClientSession,
    status: str,
    body: object,
    headers: tuple[str, ...],
    expected: object,
) -> None:
    """Telegram's no, and the no of a proxy in front of it, carry code, words, seconds and new chat id."""
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    server = await serve(telling(raw, status, *headers))
    with pytest.raises(ApiError) as refusal:
        await BotApi(TOKEN, server.url, session).call("sendMessage", text="x")
    error = refusal.value
    assert (error.code, error.description, error.retry_after, error.migrate_to_chat_id) == expected
    assert len(server.requests) == 1


AMBIGUOUS: list[Conduct] = [
    silent,
    hanging_up,
    resetting,
    half_answering,
    stuttering,
    babbling,
    telling(b"<html>502</html>", "502 Bad Gateway"),
    telling(b"", "504 Gateway Timeout"),
    telling(b"<html>welcome</html>", "200 OK"),
    telling(b'{"ok":true}', "200 OK"),
    telling(b"[]", "200 OK"),
    telling(b"\xff", "200 OK"),
]


@pytest.mark.parametrize("conduct", AMBIGUOUS)
async def test_what_was_sent_and_not_answered_is_ambiguous(
    serve: Serve, session: ClientSession, conduct: Conduct
) -> None:
    """The server had the whole call once, and once only; whether it acted, nobody knows."""
    server = await serve(conduct)
    with pytest.raises(Ambiguous):
        await BotApi(TOKEN, server.url, session).call("sendMessage", text="x", timeout=2)
    assert len(server.requests) == 1


async def test_a_server_that_never_reads_is_ambiguous(serve: Serve, session: ClientSession) -> None:
    """What has left for an open connection may have arrived."""
    server = await serve(deaf)
    with pytest.raises(Ambiguous, match=r"^sendMessage: sent, with unknown effect \("):
        await BotApi(TOKEN, server.url, session).call("sendMessage", text="x", timeout=2)


async def test_a_large_call_cut_in_the_middle_is_ambiguous(serve: Serve, session: ClientSession) -> None:
    """The first byte counts, not the last."""

    async def cutting(wire: Wire) -> None:
        await wire.begin()
        wire.reset()

    server = await serve(cutting)
    with pytest.raises(Ambiguous):
        await BotApi(TOKEN, server.url, session).call("sendMessage", text="x" * 900_000, timeout=5)


async def test_a_call_on_a_dropped_connection_is_sent_once(serve: Serve, session: ClientSession) -> None:
    """On a kept connection that breaks with the call, nothing is repeated behind the caller's back."""

    async def answering_once(wire: Wire) -> None:
        await wire.read()
        await wire.answer()
        await wire.read()
        wire.reset()

    server = await serve(answering_once)
    api = BotApi(TOKEN, server.url, session)
    await api.call("getMe")
    with pytest.raises(Ambiguous):
        await api.call("sendMessage", text="x")
    assert (len(server.requests), server.connections) == (2, 1)


async def test_a_session_that_repeats_requests_does_not_repeat_calls(serve: Serve) -> None:
    """A middleware may repeat what failed; a call is not for it to repeat."""

    async def repeating(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        await handler(request)
        return await handler(request)

    server = await serve(answering)
    async with ClientSession(middlewares=[repeating]) as session:
        await BotApi(TOKEN, server.url, session).call("sendMessage", text="x")
    assert len(server.requests) == 1


async def test_a_session_that_raises_by_status_does_not_hide_a_refusal(serve: Serve) -> None:
    """Telegram's no is a no, however the session treats the status of other answers."""
    server = await serve(telling(b'{"ok":false,"error_code":403,"description":"no"}', "403 Forbidden"))
    async with ClientSession(raise_for_status=True) as session:
        with pytest.raises(ApiError):
            await BotApi(TOKEN, server.url, session).call("sendMessage", text="x")


async def test_what_meets_a_closed_connection_is_not_out(serve: Serve) -> None:
    """A body may be taken to a connection that has closed meanwhile; aiohttp refuses to write there."""
    server = await serve(deaf)
    loop = asyncio.get_running_loop()
    for close, sent in ((True, False), (False, True)):
        transport, protocol = await loop.create_connection(
            lambda: ResponseHandler(loop), "127.0.0.1", server.port
        )
        if close:
            transport.close()
        body = _Body(b"{}")
        with contextlib.suppress(ConnectionError):
            await body.write_with_length(StreamWriter(protocol, loop), None)
        assert body.sent is sent
        transport.abort()


async def refused(serve: Serve) -> tuple[str, ClientSession]:
    """Nobody listens."""
    server = await serve(answering)
    await server.stop()
    return server.url, ClientSession()


async def unresolved(serve: Serve) -> tuple[str, ClientSession]:
    """The name has no address."""

    class Nowhere(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            raise OSError(None, "no such name")

        async def close(self) -> None:
            pass

    return "http://telegram.example", ClientSession(connector=TCPConnector(resolver=Nowhere()))


async def without_tls(serve: Serve) -> tuple[str, ClientSession]:
    """Whoever listens does not speak TLS."""

    async def shouting(wire: Wire) -> None:
        await wire.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await serve(shouting)
    return server.url.replace("http:", "https:"), ClientSession()


async def with_silent_tls(serve: Serve) -> tuple[str, ClientSession]:
    """Whoever listens never says a word of TLS."""
    server = await serve(deaf)
    return server.url.replace("http:", "https:"), ClientSession()


async def crowded(serve: Serve) -> tuple[str, ClientSession]:
    """All connections are taken."""
    server = await serve(silent)
    session = ClientSession(connector=TCPConnector(limit=1))
    busy = asyncio.create_task(session.post(server.url, data=b"x"))
    while not server.requests:
        await asyncio.sleep(0.01)
    busy.add_done_callback(lambda task: task.cancelled() or task.exception())
    return server.url, session


async def dying(serve: Serve) -> tuple[str, ClientSession]:
    """The kept connection dies after it is chosen, before anything is written to it."""
    chosen = asyncio.Event()

    async def answering_once(wire: Wire) -> None:
        await wire.read()
        await wire.answer()
        await chosen.wait()
        wire.reset()

    async def wait_for_death(*_: object) -> None:
        chosen.set()
        await asyncio.sleep(0.1)

    trace = TraceConfig()
    trace.on_connection_reuseconn.append(wait_for_death)
    server = await serve(answering_once)
    session = ClientSession(trace_configs=[trace])
    await BotApi(TOKEN, server.url, session).call("getMe")
    return server.url, session


World = Callable[[Serve], Awaitable[tuple[str, ClientSession]]]
NOTHING: list[World] = [refused, unresolved, without_tls, with_silent_tls, crowded, dying]


@pytest.mark.parametrize("world", NOTHING)
async def test_what_was_never_sent_did_not_happen(serve: Serve, world: World) -> None:
    """Before a byte of the call is out, the caller is told that it may repeat it."""
    url, session = await world(serve)
    async with session:
        with pytest.raises(NothingHappened, match=r"^sendMessage: nothing was sent \(\w+\)$"):
            await BotApi(TOKEN, url, session).call("sendMessage", text="x", timeout=0.5)


async def test_the_token_is_never_seen(
    serve: Serve, session: ClientSession, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in an error, what caused it, its traceback, a log line at any level, or a span."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    errors = []
    for conduct in (*AMBIGUOUS, telling(b'{"ok":false,"error_code":401}', "401 Unauthorized")):
        server = await serve(conduct)
        errors.append(await _failing(BotApi(TOKEN, server.url, session)))
    for world in NOTHING:
        url, other = await world(serve)
        async with other:
            errors.append(await _failing(BotApi(TOKEN, url, other)))
    secret = TOKEN.partition(":")[2]
    for error in errors:
        assert error.__cause__ is None
        assert error.__context__ is None
        assert secret not in "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert secret not in caplog.text
    finished = spans.get_finished_spans()
    assert len(finished) == len(errors) + 1  # a world calls getMe first
    assert not any(secret in span.to_json() for span in finished)


async def _failing(api: BotApi) -> TelegramError:
    with pytest.raises(TelegramError) as failure:
        await api.call("sendMessage", text="x", timeout=0.2)
    return failure.value


async def test_a_call_is_a_span_without_an_address(
    serve: Serve, session: ClientSession, spans: InMemorySpanExporter
) -> None:
    """The trace goes on through Telegram's door, and says how it ended."""
    server = await serve(answering)
    await BotApi(TOKEN, server.url, session).call("sendMessage", text="private")
    server = await serve(
        telling(b'{"ok":false,"error_code":403,"description":"bot was blocked by the user"}', "403 F")
    )
    await _failing(BotApi(TOKEN, server.url, session))
    fine, refused = spans.get_finished_spans()
    assert (fine.name, fine.kind, fine.status.is_ok or fine.status.is_unset) == (
        "telegram sendMessage", SpanKind.CLIENT, True,
    )  # fmt: skip
    assert not fine.attributes
    assert refused.attributes == {"telegram.error": "blocked"}
    assert refused.status.description == "sendMessage: 403 blocked"
    assert not refused.events


def test_a_bot_shows_its_id_alone(session: ClientSession) -> None:
    """What is printed of a client is fit for logs."""
    api = BotApi(TOKEN, "https://api.telegram.org", session)
    assert repr(api) == "BotApi(bot_id=12345)"
    assert api.bot_id == 12345


@pytest.mark.parametrize("token", ["", "12345", "x:y", "12345:", "12345:a/b", "12345:a b", "12345:a?b"])
def test_a_senseless_token_is_refused_and_not_shown(session: ClientSession, token: str) -> None:
    """The error says what a token looks like, not what was given."""
    with pytest.raises(ValueError, match="a bot token is") as refusal:
        BotApi(token, "https://api.telegram.org", session)
    assert token not in str(refusal.value).split() or not token


@pytest.mark.parametrize("url", ["", "api.telegram.org", "ftp://api.telegram.org", "http://"])
def test_a_senseless_address_is_refused(session: ClientSession, url: str) -> None:
    """A mistake in a setting is found at start, not with the first call."""
    with pytest.raises(ValueError, match="a Bot API server is an http or https URL"):
        BotApi(TOKEN, url, session)
