"""A whole stack with the bot in use: no button leads nowhere, and nothing secret gets out by any side."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest

from tests.journeys.conftest import Running, World, start, stop

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("bot"), pytest.mark.timeout(600)]

OWNER, STRANGER = 1001, 1003
WORDS = "Zanzibar-Quetzal"
"""Words that people write, and that nobody else would."""
MAIL = "hidden.person@secret-domain.example"
PASSED = {
    "logs": "service_ready", "spans": "command help", "metrics": 'telegram_commands_total{command="help"',
    "errors": "Invalid request",
}  # fmt: skip
"""What is told on each side of what has passed through."""


class Collector(ThreadingHTTPServer):
    """Takes traces as a collector would, and keeps every byte of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.taken: list[bytes] = []


class Receiver(BaseHTTPRequestHandler):
    """Takes one export."""

    server: Collector

    def do_POST(self) -> None:
        self.server.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's naming
        """Keep silent."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Collect traces."""
    made = Collector()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Running]:
    """A stack without limits, whose traces go to the collector."""
    running = start(
        tmp_path_factory.mktemp("bot") / "stack",
        SEND_LIMITS="off",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_address[1]}",
        OTEL_BSP_SCHEDULE_DELAY="500",
    )
    yield running
    assert stop(running) == 0


@pytest.fixture
async def own_world(own_stack: Running) -> AsyncIterator[World]:
    """Somebody who plays the world around that stack."""
    async with aiohttp.ClientSession() as session:
        yield World(own_stack, session)


class Chat:
    """Somebody's private chat with the bot, at the simulated Telegram."""

    def __init__(self, world: World, user: int) -> None:
        self.world, self.user = world, user
        self.last = 0

    async def write(self, words: str) -> dict[str, Any]:
        """Write, and return the bot's reply as it stands in the chat."""
        body = {"chat_id": self.user, "user_id": self.user, "text": words, "wait": 20}
        written = await self.world.telegram("/send", body)
        self.last = written["update_id"]
        return await self._reply(written["message_id"])

    async def press(self, message: dict[str, Any], data: str) -> dict[str, Any]:
        """Press a button of a message, and return what the bot made of it, or its reply."""
        newest = (await self._messages())[-1]["message_id"]
        pressed = await self.world.telegram(
            "/press",
            {
                "chat_id": self.user, "message_id": message["message_id"], "user_id": self.user, "wait": 20,
                "button": next(
                    place for place, each in enumerate(buttons(message)) if each.get("callback_data") == data
                ),
            },
        )  # fmt: skip
        assert pressed["answered"] is not None, data
        self.last = pressed["update_id"]
        assert await self.status() == "handled", data
        changed = {each["message_id"]: each for each in await self._messages()}
        later = [each for each in changed.values() if each["message_id"] > newest]
        return later[-1] if later else changed[message["message_id"]]

    async def status(self) -> str:
        """Return what became of the last update, once its reply is sent."""
        question = "SELECT status FROM telegram_webhooks WHERE update_id = $1 AND status <> 'received'"

        async def settled() -> bool:
            return await self.world.rows("gateway", question, self.last) is not None

        await self.world.until(settled)

        async def sent() -> bool:
            waiting = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')"
            return await self.world.rows("senders", waiting) == 0

        await self.world.until(sent)
        status: str = await self.world.rows("gateway", question, self.last)
        return status

    async def _messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = (await self.world.telegram(f"/chats/{self.user}/messages"))[
            "messages"
        ]
        return messages

    async def _reply(self, after: int) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = [each for each in await self._messages() if each["message_id"] > after]
            return bool(found)

        await self.world.until(there)
        return found[-1]


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the buttons of a message, row by row."""
    rows = (message.get("reply_markup") or {}).get("inline_keyboard", ())
    return [button for row in rows for button in row]


async def test_every_button_is_handled(own_world: World) -> None:
    """An owner sends every command and presses whatever comes up, until nothing new does; all is handled."""
    chat = Chat(own_world, OWNER)
    await Chat(own_world, 1002).write("/start")
    listed = await chat.write("/help")
    names = [line.split()[1] for line in listed["text"].splitlines() if line.startswith("• /")]
    assert len(names) > 10
    seen: set[str] = set()
    for name in names:
        waiting = [await chat.write(name)]
        assert await chat.status() == "handled", name
        while waiting:
            message = waiting.pop()
            for button in buttons(message):
                data = button.get("callback_data")
                if data is None or data in seen:
                    continue
                seen.add(data)
                # The message may show another keyboard by now: then it is asked for anew.
                current = next(
                    each for each in await chat._messages() if each["message_id"] == message["message_id"]
                )
                if data not in [each.get("callback_data") for each in buttons(current)]:
                    current = await own_world.telegram(
                        "/press",
                        {"chat_id": OWNER, "message_id": message["message_id"], "user_id": OWNER,
                         "data": data, "bot_id": bot_id(own_world), "wait": 20},
                    )  # fmt: skip
                    chat.last = current["update_id"]
                    assert await chat.status() == "handled", data
                    messages = {each["message_id"]: each for each in await chat._messages()}
                    waiting.append(messages[message["message_id"]])
                    continue
                waiting.append(await chat.press(current, data))
    assert len(seen) > 30


def bot_id(world: World) -> int:
    """Return the number of the stack's bot."""
    return int((world.system.bot_token or "").partition(":")[0])


async def test_nothing_secret_gets_out(own_world: World, own_stack: Running, collector: Collector) -> None:
    """No token, key, address or text is in any log, span, metric or error, though all have passed through."""
    world, user, errors = own_world, str(uuid4()), []
    chat = Chat(world, OWNER)
    await world.promo()
    await chat.write(f"/help {WORDS}")
    await chat.write(f"/start {WORDS}")
    await chat.write(f"/role {WORDS} admin")
    await chat.write(f"/settings zone {WORDS}")
    await world.api("PUT", f"/recipients/{user}", {"email": MAIL, "telegram_chat_id": STRANGER})
    subscription = await world.push("/subscriptions", {})
    keys = {name: subscription[name] for name in ("endpoint", "p256dh", "auth")}
    await world.api("POST", f"/recipients/{user}/push-subscriptions", keys)
    for channel in ("telegram", "email", "push"):
        status, accepted = await world.api(
            "POST", "/messages", {"user_id": user, "channel": channel, "body": {"text": f"{WORDS} {channel}"}}
        )
        assert (await world.message(accepted["id"]))["state"] == "sent", channel
    await world.telegram("/chats/1002/flags", {"user_blocked": True})
    body = {"channels": ["telegram"], "address": {"telegram_chat_id": 1002}, "body": {"text": WORDS}}
    _, blocked = await world.api("POST", "/messages", body)
    assert (await world.message(blocked["id"]))["state"] in ("failed", "suppressed")
    await world.webhook({"update_id": 9_000_001, "message": {"text": WORDS, "chat": 5, "from": MAIL}})
    for method, path, asked in wrong(user):
        status, problem = await world.api(method, path, asked)
        assert status >= 400, (method, path)
        errors.append(str(problem))
    bearers = [f"Bearer crl_{'x' * 43}", f"Bearer {WORDS}"]
    errors += [str(await world.api("GET", "/status", Authorization=each)) for each in bearers]
    assert await world.webhook({"update_id": 1}, secret=f"{WORDS}") == 403
    await asyncio.sleep(3)  # what comes late is looked through too

    async def spans_have_come() -> bool:
        told = b"".join(collector.taken)
        return b"telegram sendMessage" in told and PASSED["spans"].encode() in told

    await world.until(spans_have_come)
    metrics = [await _metrics(world, url) for urls in world.system.service_urls.values() for url in urls]
    spans = b"".join(collector.taken)
    sides = {
        "logs": own_stack.logs(),
        "spans": spans.decode("utf-8", "replace"),
        "metrics": "\n".join(metrics),
        "errors": "\n".join(errors),
    }
    for side, known in PASSED.items():
        assert known in sides[side], f"what has passed through is not among the {side}"
    hidden = secrets(world, subscription)
    assert leaks(sides, hidden) == []
    # Each would be found, on each side.
    for side, secret in product(sides, hidden):
        assert leaks(sides | {side: f"{sides[side]} {hidden[secret]}"}, hidden) == [(side, secret)]


def leaks(sides: Mapping[str, str], hidden: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return which secrets are told where."""
    return [(side, name) for side, said in sides.items() for name, secret in hidden.items() if secret in said]


def wrong(user: str) -> list[tuple[str, str, Any]]:
    """Return calls that are refused, each with something in it that is nobody's business."""
    return [
        ("POST", "/messages", {"user_id": user, "channel": "email", "template": WORDS}),
        ("POST", "/messages", {"address": {"email": MAIL}, "channel": "email"}),
        ("POST", "/messages", {"address": {"email": f"{MAIL} {WORDS}"}, "body": {"text": WORDS}}),
        ("PUT", f"/recipients/{user}", {"time_zone": WORDS, "email": f"<{MAIL}>"}),
        ("POST", f"/recipients/{user}/push-subscriptions", {"endpoint": WORDS, "p256dh": WORDS, "auth": "*"}),
        ("POST", "/guides", {"id": "x", "category": "risk", "difficulty": "beginner", "title": WORDS,
                             "text": "*" + WORDS}),
        ("POST", "/messaging/test", {"user_id": user, "channel": "email", "template_vars": {"side": WORDS},
                                     "template_name": "position_failure_sl"}),
        ("GET", f"/messages/{WORDS}", None),
        ("GET", f"/clicks?user_id={WORDS}", None),
    ]  # fmt: skip


def secrets(world: World, subscription: dict[str, Any]) -> dict[str, str]:
    """Return everything that must not be told, by what it is; of an address each half, however quoted."""
    system = world.system
    local, _, domain = MAIL.partition("@")
    found = {
        "token": (system.bot_token or "").partition(":")[2],
        "webhook secret": system.webhook_secret, "owner key": system.owner_key,
        "service key": system.service_key, "mailbox": local, "mail domain": domain, "words": WORDS,
        "push endpoint": urlsplit(subscription["endpoint"]).path, "push auth": subscription["auth"],
        "push key": subscription["p256dh"],
        **{f"database of {name}": urlsplit(url).password for name, url in system.database_urls.items()},
        **{name: value for name, value in _environment(system.pids["senders"][0]).items()
           if name in ("PUSH_VAPID_PRIVATE_KEY", "LINK_SIGNING_KEYS", "SMTP_PASSWORD")},
    }  # fmt: skip
    assert all(found.values()), found
    assert {"PUSH_VAPID_PRIVATE_KEY", "LINK_SIGNING_KEYS"} <= set(found)
    return {name: str(value) for name, value in found.items()}


def _environment(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if "=" in line)


async def _metrics(world: World, url: str) -> str:
    async with world.session.get(f"{url}/metrics") as answer:
        return await answer.text()
