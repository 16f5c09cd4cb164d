"""aiogram's usual recipe for a broadcast: one message after another, 20 a second, a 429 waited out."""

import asyncio
import contextlib
import os

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramAPIError, TelegramRetryAfter

PAUSE_SECONDS = 0.05
"""As in the recipe: 20 messages a second, of 30 that are allowed."""


async def send(bot: Bot, chat_id: int, text: str) -> None:
    """Send a message, once more after a 429."""
    try:
        await bot.send_message(chat_id, text)
    except TelegramRetryAfter as error:
        await asyncio.sleep(error.retry_after)
        await send(bot, chat_id, text)


async def main() -> None:
    """Send the text to every chat."""
    server = TelegramAPIServer.from_base(os.environ["TELEGRAM_API_URL"])
    first, count = int(os.environ["FIRST"]), int(os.environ["COUNT"])
    async with Bot(os.environ["TOKEN"], session=AiohttpSession(api=server)) as bot:
        for chat_id in range(first, first + count):
            with contextlib.suppress(TelegramAPIError):
                await send(bot, chat_id, os.environ["TEXT"])
            await asyncio.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
