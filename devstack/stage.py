"""What the simulated Telegram is furnished with: a bot, three people, a channel and a group."""

from typing import Any

import aiohttp

OWNER = 1001
PEOPLE = ((OWNER, "Ada", "ada_owner"), (1002, "Grace", "grace"), (1003, "Alan", "alan"))
CHANNEL, GROUP = -1_001_000_000_001, -1_001_000_000_002
CHATS = (CHANNEL, GROUP, 1003)
"""Where promos are posted."""
BOT_USERNAME = "carillon_dev_bot"


async def furnish(control_url: str, bot_token: str) -> None:
    """Make the bot, the people and the chats; `control_url` is the simulator's."""
    async with aiohttp.ClientSession() as session:

        async def make(path: str, what: dict[str, Any]) -> None:
            async with session.post(f"{control_url}{path}", json=what) as answer:
                answer.raise_for_status()

        await make("/bots", {"token": bot_token, "username": BOT_USERNAME})
        for number, first_name, username in PEOPLE:
            person = {"id": number, "first_name": first_name, "username": username, "language_code": "en"}
            await make("/users", person)
            await make("/chats", {"type": "private", "user_id": number})
        await make("/chats", {"type": "channel", "id": CHANNEL, "title": "Trading Signals"})
        await make("/chats", {"type": "supergroup", "id": GROUP, "title": "Traders' Lounge"})
