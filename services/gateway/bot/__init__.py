"""The bot: its commands, who may give them, and what Telegram is told of them."""

from services.gateway.bot.help import help_command
from services.gateway.bot.marketing import START_MARKETING
from services.gateway.bot.menu import Menu
from services.gateway.bot.registry import Command, Registry
from services.gateway.bot.running import Commands
from services.gateway.bot.start import START

__all__ = ["Command", "Commands", "Menu", "Registry", "every_command"]


def every_command() -> Registry:
    """Return the registry of all commands; raises ValueError where two of them clash."""
    registry = Registry([START, START_MARKETING, help_command(lambda: registry)])
    return registry
