"""`carillon webhook` against a simulated Telegram."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from carillon.__main__ import app
from devstack.telegram import Telegram
from services.gateway.domain.updates import HANDLED
from tests.journeys.conftest import environment

TOKEN = "123456:ABC-def_1234567890"
SECRET = "s3cret_Token"


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    """Run a simulated Telegram that knows the bot."""
    async with Telegram.open() as opened, aiohttp.ClientSession() as http:
        async with http.post(
            f"{opened.control_url}/bots", json={"token": TOKEN, "username": "a_bot"}
        ) as made:
            assert made.status < 300
        yield opened


async def webhook(folder: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command about the webhook."""
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "carillon", "webhook", *arguments],
        capture_output=True, text=True, timeout=90, cwd=folder, env=environment(**more), check=False,
    )  # fmt: skip


@pytest.mark.slow
async def test_a_webhook_is_set_shown_and_deleted(telegram: Telegram, tmp_path: Path) -> None:
    """Telegram is given address, secret, kinds and connections; the secret and the token are never shown."""
    known = {
        "TELEGRAM_API_URL": telegram.api_url, "TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_WEBHOOK_SECRET": SECRET,
    }  # fmt: skip
    done = await webhook(tmp_path, "set", "--url", "http://127.0.0.1:9", "--max-connections", "7", **known)
    assert done.returncode == 0, done.stderr
    shown = await webhook(tmp_path, "info", "--json", **known)
    info: dict[str, Any] = json.loads(shown.stdout)
    assert info["url"] == "http://127.0.0.1:9/telegram/default/webhook"
    assert (info["max_connections"], set(info["allowed_updates"])) == (7, set(HANDLED))
    assert TOKEN not in done.stdout + done.stderr + shown.stdout
    assert SECRET not in done.stdout + done.stderr + shown.stdout
    assert (await webhook(tmp_path, "delete", **known)).returncode == 0
    assert json.loads((await webhook(tmp_path, "info", "--json", **known)).stdout)["url"] == ""


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a bot, a secret or an address, and where Telegram is away, a line says what is missing."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name not in environment():
            monkeypatch.delenv(name)
    bot = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": "http://127.0.0.1:9"}
    cases: tuple[tuple[list[str], dict[str, str], str], ...] = (
        (["info"], {}, "no bot is known"),
        (["set"], bot, "the bot has no webhook secret"),
        (["set"], bot | {"TELEGRAM_WEBHOOK_SECRET": SECRET}, "no address of the gateway is known"),
        (["info", "--bot", "other"], bot, "--bot is 'other'; expected one of: default"),
        (["info"], bot, "Telegram cannot be reached"),
    )
    for arguments, more, words in cases:
        done = CliRunner().invoke(app, ["webhook", *arguments], env=more)
        assert done.exit_code != 0
        assert words in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
