"""The simulator's page, as a real browser shows it."""

import asyncio
import shutil
from pathlib import Path

import aiohttp
import pytest

from devstack.telegram import Telegram

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


async def test_a_person_sees_bold_titles_and_buttons(tmp_path: Path) -> None:
    """A person who opens the page sees messages as Telegram shows them: bold titles, buttons to press."""
    token = "1234567:abcdefghijklmnopqrstuvwxyz0123456789"
    async with Telegram.open() as telegram, aiohttp.ClientSession() as session:
        await session.post(f"{telegram.control_url}/bots", json={"token": token, "username": "a_bot"})
        await session.post(f"{telegram.control_url}/chats", json={"type": "private", "user_id": 5})
        keyboard = {"inline_keyboard": [[{"text": "Press me", "callback_data": "p1"}]]}
        message = {"chat_id": 5, "text": "*A title*", "parse_mode": "MarkdownV2", "reply_markup": keyboard}
        async with session.post(f"{telegram.api_url}/bot{token}/sendMessage", json=message) as answer:
            assert answer.status == 200
        browser = await asyncio.create_subprocess_exec(
            str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path}", "--dump-dom", f"{telegram.control_url}/",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        seen, _ = await asyncio.wait_for(browser.communicate(), 60)
    assert b"<b>A title</b>" in seen or b"<strong>A title</strong>" in seen
    assert b"Press me" in seen
    assert token.encode() not in seen
