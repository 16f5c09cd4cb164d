"""python-telegram-bot with its AIORateLimiter, which keeps the limits and repeats after a 429."""

import asyncio
import contextlib
import os

from telegram.error import TelegramError
from telegram.ext import AIORateLimiter, Application

RETRIES = 3


async def main() -> None:
    """Send the text to every chat."""
    application = (
        Application.builder()
        .token(os.environ["TOKEN"])
        .base_url(f"{os.environ['TELEGRAM_API_URL']}/bot")
        .updater(None)
        .rate_limiter(AIORateLimiter(max_retries=RETRIES))
        .build()
    )
    first, count = int(os.environ["FIRST"]), int(os.environ["COUNT"])
    async with application:
        for chat_id in range(first, first + count):
            with contextlib.suppress(TelegramError):
                await application.bot.send_message(chat_id, os.environ["TEXT"])


if __name__ == "__main__":
    asyncio.run(main())
