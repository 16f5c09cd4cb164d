"""`carillon webhook`: tell Telegram where updates go, ask what it knows, or take it back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import aiohttp
import orjson
import typer

from carillon.output import console, fail, print_json
from carillon.system import JsonOption, StackOption, System
from services.gateway.domain.updates import HANDLED
from shared.bots import DEFAULT_BOT, Bot, BotSettings, parse_bots
from shared.links import LinkSettings
from shared.settings import load
from shared.telegram import ApiError, BotApi, TelegramError

app = typer.Typer(help="The webhook of a bot, as Telegram knows it.", no_args_is_help=True)

BotOption = Annotated[str, typer.Option("--bot", help="The bot's name, where there are several.")]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", help="Where the gateway is reached from outside, if not at PUBLIC_URL."),
]
ConnectionsOption = Annotated[
    int, typer.Option("--max-connections", help="Calls that Telegram makes at once.", min=1, max=100)
]
DropOption = Annotated[bool, typer.Option("--drop-pending", help="Have Telegram forget what waits.")]


class _Settings(BotSettings, LinkSettings):
    """What the command takes from the environment."""


@app.command("set")
def set_(
    url: UrlOption = None,
    bot: BotOption = DEFAULT_BOT,
    max_connections: ConnectionsOption = 40,
    drop_pending: DropOption = False,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Register the webhook, with the bot's secret and the kinds of updates that are handled."""
    system, settings = System.find(stack), load(_Settings)
    known = _bot(system, settings, bot)
    if known.webhook_secret is None:
        fail("the bot has no webhook secret: set TELEGRAM_WEBHOOK_SECRET, or webhook_secret in TELEGRAM_BOTS")
    arguments = {
        "url": _address(system, settings, url, bot),
        "secret_token": known.webhook_secret.get_secret_value(),
        "allowed_updates": list(HANDLED),
        "max_connections": max_connections,
        "drop_pending_updates": drop_pending,
    }
    _run(system, settings, known, lambda api: api.call("setWebhook", arguments))
    done = {"bot": bot, "url": arguments["url"], "max_connections": max_connections}
    print_json(done) if json else console.print(f"Updates go to {done['url']}.", markup=False)


@app.command()
def info(bot: BotOption = DEFAULT_BOT, stack: StackOption = None, json: JsonOption = False) -> None:
    """Show what Telegram knows: where updates go, how many wait, and what went wrong last."""
    system, settings = System.find(stack), load(_Settings)
    known = _bot(system, settings, bot)
    found = _run(system, settings, known, lambda api: api.call("getWebhookInfo"))
    if json:
        print_json(found)
        return
    if not found.get("url"):
        console.print("There is no webhook: updates wait to be polled.")
    for name, value in found.items():
        console.print(f"[bold]{name:>24}[/bold]  ", end="")
        console.print(", ".join(value) if isinstance(value, list) else value, markup=False)


@app.command()
def delete(
    bot: BotOption = DEFAULT_BOT,
    drop_pending: DropOption = False,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Take the webhook back: updates wait at Telegram, for a day, to be polled."""
    system, settings = System.find(stack), load(_Settings)
    known = _bot(system, settings, bot)
    _run(system, settings, known, lambda api: api.call("deleteWebhook", drop_pending_updates=drop_pending))
    print_json({"bot": bot, "deleted": True}) if json else console.print("There is no webhook any more.")


def _bot(system: System, settings: BotSettings, name: str) -> Bot:
    """Return a bot of the stack, or of the environment; ends the command when there is none of that name."""
    if system.bot_token:
        stack = {"token": system.bot_token, "webhook_secret": system.webhook_secret}
        bots = parse_bots(orjson.dumps({DEFAULT_BOT: stack}).decode())
    else:
        bots = settings.bots()
    if not bots:
        fail("no bot is known: start `carillon up`, or set TELEGRAM_BOT_TOKEN or TELEGRAM_BOTS")
    if name not in bots:
        fail(f"--bot is '{name}'; expected one of: {', '.join(sorted(bots))}")
    return bots[name]


def _address(system: System, settings: LinkSettings, url: str | None, bot: str) -> str:
    """Return where the bot's updates go; a URL that is only a host gets the gateway's path."""
    base = url or settings.public_url or system.gateway_url
    if not base:
        fail("no address of the gateway is known: give --url, or set PUBLIC_URL")
    path = f"/telegram/{bot}/webhook"
    return base if base.endswith(path) else base.rstrip("/") + path


def _run(
    system: System, settings: BotSettings, bot: Bot, act: Callable[[BotApi], Awaitable[Any]]
) -> Any:  # JSON out
    api_url = system.telegram_api_url or settings.telegram_api_url

    async def run() -> Any:
        async with aiohttp.ClientSession() as session:
            return await act(BotApi(bot.token.get_secret_value(), api_url, session))

    try:
        return asyncio.run(run())
    except ApiError as error:
        fail(f"Telegram says no: {error.description}", code=1)
    except TelegramError as error:
        fail(f"Telegram cannot be reached: {error}", code=1)
