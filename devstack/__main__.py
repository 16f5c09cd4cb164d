"""`python -m devstack`: the simulated Telegram, mailbox and push service in one process, until a signal.

Six ports from `--port` on: Bot API, its control; SMTP, its control; push, its control. The bot is that of
TELEGRAM_BOT_TOKEN; its webhook is set to `--webhook`, with TELEGRAM_WEBHOOK_SECRET.
"""

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import dataclass

import aiohttp

from devstack.push import PushService
from devstack.smtp import Inbox
from devstack.stage import furnish
from devstack.telegram import Telegram
from shared.telegram import BotApi


@dataclass(frozen=True)
class Asked:
    """Where to listen, and for which bot; `host` is also the name that the addresses carry."""

    host: str
    port: int
    webhook: str | None
    token: str
    secret: str


async def serve(asked: Asked) -> None:
    """Run the simulators, say where they are, and wait for a signal to end."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    host, port = asked.host, asked.port
    async with (
        Telegram.open(host, port, port + 1) as telegram,
        Inbox.open(host=host, port=port + 2, control_port=port + 3) as inbox,
        PushService.open(host=host, port=port + 4, control_port=port + 5) as push,
    ):
        await furnish(telegram.control_url, asked.token)
        if asked.webhook:
            await _set_webhook(telegram.api_url, asked)
        say("Telegram", telegram.api_url, telegram.control_url)
        say("mail", f"{host}:{inbox.port}", inbox.control_url)
        say("push", push.url, push.control_url)
        await ended.wait()


async def _set_webhook(api_url: str, asked: Asked) -> None:
    async with aiohttp.ClientSession() as session:
        api = BotApi(asked.token, api_url, session)
        await api.call("setWebhook", url=asked.webhook, secret_token=asked.secret)


def say(name: str, address: str, control: str) -> None:
    """Print where a simulator is."""
    sys.stdout.write(f"{name:<9} {address}  control {control}\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and the environment, and serve."""
    parser = argparse.ArgumentParser(prog="devstack", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address, or name of an address, to listen on")
    parser.add_argument("--port", type=int, default=8081, help="the first of six ports")
    parser.add_argument("--webhook", help="where the bot's updates go")
    chosen = parser.parse_args()
    token, secret = (os.environ.get(f"TELEGRAM_{name}", "") for name in ("BOT_TOKEN", "WEBHOOK_SECRET"))
    if not token or (chosen.webhook and not secret):
        missing = "TELEGRAM_WEBHOOK_SECRET" if token else "TELEGRAM_BOT_TOKEN"
        parser.error(f"{missing} is not set; expected what the services have")
    asyncio.run(serve(Asked(chosen.host, chosen.port, chosen.webhook, token, secret)))


if __name__ == "__main__":
    main()
