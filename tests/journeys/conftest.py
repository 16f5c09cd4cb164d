"""A whole stack of real processes, and somebody who plays the world around it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from carillon.system import System

SHORT = {
    "ACK_WAIT_SECONDS": "4",
    "RETRY_SECONDS": "0.1,0.2,0.2,0.3,0.3",
    "SEND_LEASE_SECONDS": "4",
    "SEND_HOLD_SECONDS": "4",
    "TELEGRAM_TIMEOUT_SECONDS": "3",
    "PROVIDER_DOWN_SECONDS": "0.5",
}
START_SECONDS = 180
WORLD = ("NATS_", "DATABASE", "TELEGRAM_", "SMTP_", "PUSH_", "PROMO_", "OWNER_", "CARILLON_")


def environment(**more: str) -> dict[str, str]:
    """Return an environment that points to no other world, with short waits."""
    clean = {name: value for name, value in os.environ.items() if not any(word in name for word in WORLD)}
    return {**clean, **SHORT, **more}


@dataclass
class Running:
    """A stack that runs in a process of its own."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    ready_file: Path

    @property
    def system(self) -> System:
        """Its addresses and process ids, as they are now."""
        file = self.folder / "stack.json"
        return System.read(file if file.exists() else self.ready_file, "the stack file")

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the command line against this stack."""
        return subprocess.run(
            [sys.executable, "-m", "carillon", *arguments, "--stack", str(self.ready_file)],
            capture_output=True, text=True, timeout=90, env=environment(), check=False,
        )  # fmt: skip

    def audit(self) -> dict[str, Any]:
        """Run the audit and return what it says."""
        done = self.command("audit", "--json")
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def logs(self) -> str:
        """Return everything that the services have logged."""
        return "\n".join(file.read_text() for file in sorted((self.folder / "logs").glob("*.log")))


def start(folder: Path, *arguments: str, **more: str) -> Running:
    """Start a stack and wait until it is ready."""
    ready_file = folder.parent / f"{folder.name}.ready.json"
    ready_file.unlink(missing_ok=True)
    with (folder.parent / f"{folder.name}.up.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "carillon", "up", "--folder", str(folder), "--ready-file", str(ready_file),
             *arguments],
            env=environment(**more), stdout=log, stderr=log,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not ready_file.exists():
        assert process.poll() is None, (folder.parent / f"{folder.name}.up.log").read_text()
        if time.monotonic() > deadline:
            process.terminate()
            raise AssertionError("the stack did not become ready")
        time.sleep(0.1)
    return Running(process, folder, ready_file)


def stop(running: Running) -> int:
    """Stop a stack as Ctrl-C does; return its exit code."""
    running.process.send_signal(signal.SIGINT)
    return running.process.wait(120)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One stack for the journeys of a file that leave it whole; kept longer, it slows all other tests."""
    running = start(tmp_path_factory.mktemp("journeys") / "stack")
    yield running
    assert stop(running) == 0


class World:
    """Plays people, other services and operators around a stack."""

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session

    @property
    def system(self) -> System:
        return self.running.system

    async def telegram(self, path: str, body: Any = None) -> Any:
        """Ask the simulated Telegram's control API."""
        return await self._ask(f"{self.system.telegram_control_url}{path}", body)

    async def mail(self, path: str, body: Any = None) -> Any:
        """Ask the inbox's control API."""
        return await self._ask(f"{self.system.smtp_control_url}{path}", body)

    async def push(self, path: str, body: Any = None) -> Any:
        """Ask the push service's control API."""
        return await self._ask(f"{self.system.push_control_url}{path}", body)

    async def api(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Ask the HTTP API as its owner; return status and body."""
        known = {"Authorization": f"Bearer {self.system.owner_key}"}
        url = f"{self.system.gateway_url}/api/v1{path}"
        async with self.session.request(method, url, json=body, headers=known | headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def webhook(self, body: Any, *, secret: str | None = None) -> int:
        """Hand the gateway an update as Telegram would; return the status, 0 without an answer."""
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret or self.system.webhook_secret or ""}
        try:
            async with self.session.post(str(self.system.webhook_url), json=body, headers=headers) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def sent(self, chat_id: int | None = None) -> list[dict[str, Any]]:
        """Return what Telegram has accepted."""
        sent: list[dict[str, Any]] = (await self.telegram("/sent"))["sent"]
        return [each for each in sent if chat_id in (None, each["chat_id"])]

    async def promo(self) -> dict[str, Any]:
        """Return a posted promo with a button."""
        await self.until(self._has_promo)
        return next(each for each in await self.sent() if each.get("reply_markup"))

    async def _has_promo(self) -> bool:
        return any(each.get("reply_markup") for each in await self.sent())

    async def message(self, message_id: str) -> dict[str, Any]:
        """Wait until a message has ended, and return it."""
        found: dict[str, Any] = {}

        async def ended() -> bool:
            status, body = await self.api("GET", f"/messages/{message_id}")
            found.update(body if status == 200 else {})
            return found.get("state", "pending") != "pending"

        await self.until(ended)
        return found

    async def rows(self, service: str, question: str, *values: Any) -> Any:
        """Ask a service's database for one value."""
        connection = await asyncpg.connect(self.system.database_url(service))
        try:
            return await connection.fetchval(question, *values)
        finally:
            await connection.close()

    async def run(self, service: str, statement: str) -> None:
        """Change something in a service's database."""
        connection = await asyncpg.connect(self.system.database_url(service))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 120.0) -> None:
        """Wait for a condition; fail when it does not come true in time."""
        deadline = time.monotonic() + seconds
        while not await condition():
            assert time.monotonic() < deadline, "did not come true in time"
            await asyncio.sleep(0.1)

    async def ready(self, seconds: float = 120.0) -> None:
        """Wait until every service is ready."""

        async def all_ready() -> bool:
            for urls in self.system.service_urls.values():
                for url in urls:
                    try:
                        async with self.session.get(f"{url}/readyz") as answer:
                            if answer.status != 200:
                                return False
                    except aiohttp.ClientError:
                        return False
            return True

        await self.until(all_ready, seconds)

    async def _ask(self, url: str, body: Any) -> Any:
        async with self.session.request("GET" if body is None else "POST", url, json=body) as answer:
            assert answer.status < 400, await answer.text()
            return await answer.json()


@pytest.fixture
async def world(stack: Running) -> AsyncIterator[World]:
    """Somebody who plays the world around the shared stack."""
    async with aiohttp.ClientSession() as session:
        yield World(stack, session)
