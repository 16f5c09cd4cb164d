"""The front of the HTTP server: nobody who asks can tell whether it answers, or aiohttp behind it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.api import front
from services.gateway.api.front import Front
from services.gateway.api.headers import whole
from services.gateway.api.plain import Head, read_head
from services.gateway.domain.bots import DoorBot

LARGEST = 200
END = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SECRET = b"X-Telegram-Bot-Api-Secret-Token: s3cret_Token"


def request(body: bytes, *more: bytes, path: bytes = b"/telegram/default/webhook") -> bytes:
    """Return a request as Telegram sends it."""
    lines = [b"POST %b HTTP/1.1" % path, b"Host: a", b"Content-Type: application/json"]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), *more, b"", body])


def echo(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return what both say of a request."""
    return orjson.dumps([path, sorted(headers.items()), body.decode("latin-1")])


@dataclass
class Echo:
    """Answers plain requests with what they are, unless held up; knows no bot `other`."""

    answered: list[bytes] = field(default_factory=list)
    held: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def admits(self, head: Head, peer: str | None) -> DoorBot | None:
        """Admit everybody who speaks to a bot that there is."""
        return None if head.bot == "other" else DoorBot(head.bot, 1, b"")

    async def answer(self, bot: DoorBot, head: Head, body: bytes) -> bytes:
        """Answer with the request."""
        self.begun.set()
        if self.held is not None:
            await self.held.wait()
        self.answered.append(body)
        headers = {name.decode(): value.decode() for name, value in head.headers.items()}
        return whole(200, echo(f"/telegram/{bot.name}/webhook", headers, body), "application/json")


async def behind(asked: web.BaseRequest) -> web.StreamResponse:
    """Answer as `Echo` does, by aiohttp."""
    if "Content-Encoding" in asked.headers or int(asked.headers.get("Content-Length", 0)) > LARGEST:
        return web.Response(status=413)
    headers = {name.lower(): value for name, value in asked.headers.items()}
    said = echo(asked.path, headers, await asked.read())
    return web.Response(body=said, content_type="application/json")


@dataclass
class Street:
    """A server with a front, and one without."""

    echo: Echo
    front: Front
    port: int
    plain_port: int

    async def ask(self, port: int, *parts: bytes) -> list[tuple[int, bytes]]:
        """Send parts over one connection and return what is answered until nothing more comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = bytearray()
        # Read while it is sent: what is refused half-way is answered, and the connection broken.
        reading = asyncio.create_task(collect(reader, found))
        for part in parts:
            if not writer.is_closing():
                writer.write(part)
            await asyncio.sleep(0.001 if len(parts) > 1 else 0)
        await reading
        writer.close()
        return answers_in(bytes(found))


async def collect(reader: asyncio.StreamReader, found: bytearray) -> None:
    """Read until nothing more comes."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(20):
            while more := await reader.read(65_536):
                found += more


def answers_in(data: bytes) -> list[tuple[int, bytes]]:
    """Return status and body of each answer; the words of a 400 are about the part that came last."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        status = int(head.split(b" ")[1])
        found.append((status, rest[:size] if status != 400 else b""))
        data = rest[size:]
    return found


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """Run both servers."""
    loop = asyncio.get_running_loop()
    made, server = Echo(), web.Server(behind)
    fronted = Front(server, made, LARGEST)
    listening = [await loop.create_server(each, "127.0.0.1", 0) for each in (fronted, server)]
    ports = [each.sockets[0].getsockname()[1] for each in listening]
    yield Street(made, fronted, *ports)
    for each in listening:
        each.close()
    await fronted.close(5)
    await server.shutdown(5)


ODD_LINES = st.sampled_from([
    b"Transfer-Encoding: chunked", b"transfer-encoding: identity", b"Content-Length: 3",
    b"Content-Length: +3",
    b"Content-Encoding: nonsense", b"Connection: keep-alive",
    b"Expect: 100-continue", b" folded", b"Content-Type: a/b",
    b"Content-Type: application/json; charset=UTF-8", b"X-Name : value", b"X\x00Y: z", b"X: \xc3\xbc",
    b"X: a\nY: b", b"X:", b"X:  spaced \t", b"x-forwarded-for: 1.2.3.4", b"X-Forwarded-For: 5.6.7.8",
    b"Host: b", b"no colon",
    b"Traceparent: 00-%b-%b-01" % (b"a" * 32, b"b" * 16), b"TE: trailers", b"Accept-Encoding: gzip, deflate",
])  # fmt: skip
PATHS = st.sampled_from([
    b"/telegram/default/webhook", b"/telegram/default/webhook", b"/telegram/other/webhook",
    b"/telegram/a%62c/webhook", b"/telegram/default/webhook?x=1", b"/telegram//webhook", b"/api/v1/status",
])  # fmt: skip
REQUESTS = st.builds(
    lambda body, lines, path: request(body, *lines, path=path),
    st.binary(max_size=40) | st.just(b"x" * LARGEST) | st.just(b"x" * (LARGEST + 1)),
    st.lists(ODD_LINES, max_size=2),
    PATHS,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(REQUESTS, min_size=1, max_size=3), data=st.data())
async def test_answers_are_those_of_aiohttp(street: Street, asked: list[bytes], data: Any) -> None:
    """However odd requests are and however cut up, they are answered as without a front, in order."""
    whole_text = b"".join(asked) + END
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole_text) - 1), max_size=3)))
    parts = [whole_text[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]

    expected: list[tuple[int, bytes]] = []
    for each in [*asked, END]:
        answers = await street.ask(street.plain_port, each if each is END else each + END)
        expected.append(answers[0])
        if len(answers) == 1:
            break

    fronted = await street.ask(street.port, *parts)

    if expected[-1][0] == 400:
        # aiohttp answers nothing else of what comes together with something broken.
        left = iter(expected)
        assert all(each in left for each in fronted)
        assert fronted[-1] == expected[-1]
    else:
        assert fronted == expected


async def test_who_wants_the_connection_closed_is_left_to_aiohttp(street: Street) -> None:
    """The last request of a connection is answered, however it is cut up, and the connection is closed."""
    # With something behind it aiohttp's own answer depends on what comes in one piece.
    asked = request(b"x" * LARGEST, b"Connection: close")
    expected = await street.ask(street.plain_port, asked)
    assert [status for status, _ in expected] == [200]
    for cut in (1, 60, 124, len(asked) - 1):
        assert await street.ask(street.port, asked[:cut], asked[cut:]) == expected


async def test_plain_requests_are_answered_by_the_front(street: Street) -> None:
    """Requests of Telegram's, cut up anywhere, never get to aiohttp."""
    text = request(b'{"a": 1}', SECRET)
    for cut in range(1, len(text), 5):
        await street.ask(street.port, text[:cut], text[cut:] + END)

    assert street.echo.answered == [b'{"a": 1}'] * len(range(1, len(text), 5))


@pytest.mark.parametrize("start", [b"GET /", b"POST /other", b"POST /telegram/" + b"x" * 9000])
async def test_what_is_for_others_is_not_waited_for(street: Street, start: bytes) -> None:
    """A head that cannot become plain is aiohttp's at once, before it is whole."""
    _, writer = await asyncio.open_connection("127.0.0.1", street.port)
    async with asyncio.timeout(10):
        while not street.front.connections:
            await asyncio.sleep(0.01)
        writer.write(start)
        while street.front.connections:
            await asyncio.sleep(0.01)
    writer.close()


def test_what_is_read_in_two_ways_is_not_plain() -> None:
    """Two programs that disagree on where a request ends let strangers speak for others: only one reading."""
    assert read_head(request(b"abc"), 3) is not None
    assert read_head(request(b"abc"), 2) is None
    for line in (b"Content-Length: 3", b"content-length: 4", b"Transfer-Encoding: chunked", b" folded",
                 b"X: a\nContent-Length: 9", b"X: a\rY: b", b"Content-Length : 3",
                 b"Connection: close", b"Connection: Upgrade", b"Upgrade: websocket",
                 b"Content-Encoding: gzip"):  # fmt: skip
        assert read_head(request(b"abc", line), 3) is None, line
    for size in (b"+3", b"3 3", b"0x3", b"", b"-1", b"3,3"):
        assert read_head(request(b"abc").replace(b"Length: 3", b"Length: " + size), 3) is None, size


async def test_stopping_lets_an_answer_be_finished(street: Street) -> None:
    """Whoever is being answered when the server stops gets the answer, and then the end; others the end."""
    street.echo.held = asyncio.Event()
    idle_reader, idle = await asyncio.open_connection("127.0.0.1", street.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", street.port)
    writer.write(request(b"first") + request(b"second"))
    await street.echo.begun.wait()

    closing = asyncio.create_task(street.front.close(30))
    assert await idle_reader.read() == b""
    assert not closing.done()
    street.echo.held.set()
    await closing

    assert [status for status, _ in answers_in(await reader.read())] == [200]
    assert street.echo.answered == [b"first"]
    for each in (idle, writer):
        each.close()


async def test_an_answer_that_takes_too_long_does_not_keep_it_from_stopping(street: Street) -> None:
    """Stopping ends, whatever is still being answered."""
    street.echo.held = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", street.port)
    writer.write(request(b"first"))
    await street.echo.begun.wait()

    await street.front.close(0.05)

    assert await reader.read() == b""
    assert street.echo.answered == []
    writer.close()


async def test_an_idle_connection_is_ended(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing, or half of something, holds no connection for ever; who is being answered does."""
    monkeypatch.setattr(front, "IDLE_SECONDS", 2.0)
    street.echo.held = asyncio.Event()
    silent_reader, silent = await asyncio.open_connection("127.0.0.1", street.port)
    half_reader, half = await asyncio.open_connection("127.0.0.1", street.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", street.port)
    half.write(request(b"half")[:-1])
    writer.write(request(b"whole"))

    async with asyncio.timeout(30):
        assert await silent_reader.read() == b""
        assert await half_reader.read() == b""
    assert street.front.connections
    street.echo.held.set()

    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    for each in (silent, half, writer):
        each.close()


async def test_a_head_or_body_that_trickles_in_is_ended(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte gives no new time: a head has its time from the last answer on, a body from its head on."""
    monkeypatch.setattr(front, "IDLE_SECONDS", 2.0)

    async def trickle(start: bytes, rest: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", street.port)
        writer.write(start)
        ended = asyncio.create_task(reader.read())
        for byte in rest:
            if ended.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.2)
        writer.close()
        with suppress(ConnectionError):
            return await ended
        return b""

    whole_one = request(b"x" * 200)
    async with asyncio.timeout(35):
        said = await asyncio.gather(trickle(b"", whole_one), trickle(whole_one[:-150], whole_one[-150:]))

    assert (said, street.echo.answered) == ([b"", b""], [])


async def test_what_is_handed_over_held_may_be_held_again(street: Street) -> None:
    """Reading goes on when a connection is handed over, so that aiohttp may stop it where it has enough."""
    street.echo.held = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", street.port)
    writer.write(request(b"first"))
    await street.echo.begun.wait()
    (connection,) = street.front.connections
    # More than once, so that the front lets no more of it be read until the first is answered.
    for _ in range(3):
        writer.write(b"GET /api/v1/status HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        while not connection._is_held:
            await asyncio.sleep(0.01)
    street.echo.held.set()
    answers = b""
    async with asyncio.timeout(20):
        while answers.count(b"HTTP/1.1 200") < 4:
            answers += await reader.read(65_536)
    assert not connection._is_held
    assert connection._transport.is_reading()
    writer.close()


async def test_who_comes_while_it_stops_is_not_served(street: Street) -> None:
    """A connection that is made after the stop began is ended at once."""
    await street.front.close(5)
    reader, writer = await asyncio.open_connection("127.0.0.1", street.port)
    writer.write(request(b"late"))
    async with asyncio.timeout(20):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    assert (street.echo.answered, street.front.connections) == ([], set())
    writer.close()


async def test_who_does_not_read_answers_gets_no_more_of_them(street: Street) -> None:
    """Answers that nobody reads do not fill the memory: the next request waits, and is answered then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", street.port, limit=1024)
    asked = 8_000
    text = request(b"x" * LARGEST, b"X-Long: " + b"y" * 2000)
    sending = asyncio.create_task(send(writer, text * asked))
    before = -1
    async with asyncio.timeout(60):
        while before < 1 or len(street.echo.answered) != before:
            before = len(street.echo.answered)
            await asyncio.sleep(0.5)
    assert 0 < before < asked
    assert not sending.done()

    data = 0
    async with asyncio.timeout(120):
        while len(street.echo.answered) < asked:
            data += len(await reader.read(1 << 20))
        await sending
    writer.close()


async def send(writer: asyncio.StreamWriter, text: bytes) -> None:
    """Send as much as the other side takes."""
    writer.write(text)
    await writer.drain()


async def test_the_gateways_own_answers_are_the_same_either_way(gateway: Any) -> None:
    """Status, headers and body do not tell which of the two has answered."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    bodies = [b'{"update_id": 1}', b"nonsense", orjson.dumps(gateway.press(2, "x"))]
    heads = []
    for more in ((), (b"X-Odd: \xc3\xbc",)):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"".join(request(body, SECRET, *more) for body in bodies) + END)
        lines = (await reader.read()).split(b"\r\n")
        # aiohttp types what is empty, and ends what it was told to end.
        odd = (b"date:", b"content-type: application/octet-stream", b"connection:")
        heads.append(sorted(line for line in lines if not line.lower().startswith(odd)))
        writer.close()

    assert heads[0] == heads[1]
