"""The bot: its commands, who may give them, and what Telegram is told of them."""

from services.gateway.bot.admin import ADMIN, ROLE
from services.gateway.bot.audit import AUDIT
from services.gateway.bot.broadcast import BROADCAST
from services.gateway.bot.dead_letters import DLQ
from services.gateway.bot.guides import GUIDES
from services.gateway.bot.help import help_command
from services.gateway.bot.marketing import MARKETING_STATUS, START_MARKETING, STOP_MARKETING
from services.gateway.bot.menu import Menu
from services.gateway.bot.newsletter import NEWSLETTER, STOP
from services.gateway.bot.promos import PROMOS
from services.gateway.bot.registry import Command, Hands, Registry
from services.gateway.bot.running import Commands
from services.gateway.bot.settings import SETTINGS
from services.gateway.bot.shelf import shipped_guides
from services.gateway.bot.start import START
from services.gateway.bot.stats import STATS

__all__ = ["Command", "Commands", "Hands", "Menu", "Registry", "every_command", "shipped_guides"]

COMMANDS = (
    START, GUIDES, NEWSLETTER, SETTINGS, STOP, STATS, START_MARKETING, STOP_MARKETING, MARKETING_STATUS,
    PROMOS, BROADCAST, ADMIN, ROLE, DLQ, AUDIT,
)  # fmt: skip


def every_command() -> Registry:
    """Return the registry of all commands; raises ValueError where two of them clash."""
    registry = Registry([*COMMANDS, help_command(lambda: registry)])
    return registry
