"""The commands of the bot, each declared once."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.gateway.domain.commands import check_alias, check_name
from services.gateway.domain.roles import Role
from services.gateway.domain.updates import Written
from services.gateway.store import User
from shared.events import Event, UpdateReceived
from shared.markdown import Message
from shared.queries import Query, ReplyT

LONGEST_DESCRIPTION = 256


class Hands(Protocol):
    """What commands work with: the bus, as far as they need it."""

    async def publish(self, event: Event) -> None:
        """Store an event."""

    async def ask(self, query: Query[ReplyT]) -> ReplyT:
        """Ask another service."""


@dataclass(frozen=True)
class Asked:
    """A command that somebody gave: what follows its name, who gave it, and the update that brought it."""

    rest: str
    user: User
    update: UpdateReceived
    written: Written
    now: datetime

    @property
    def cause(self) -> UUID:
        """The id under which other services know this command."""
        return self.update.id


Run = Callable[[Asked, Hands], Awaitable[Message]]


@dataclass(frozen=True)
class Command:
    """A command: its name, what it is for, who may give it, and the function that does it.

    `usage` is what may follow the name; `help` is a paragraph for `/help <name>`.
    """

    name: str
    category: str
    description: str
    role: Role
    run: Run
    help: str
    usage: str = ""
    aliases: tuple[str, ...] = ()
    hidden: bool = False


class Registry:
    """All commands, found by name and alias; raises ValueError for names that clash or cannot be."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._by_name: dict[str, Command] = {}
        self._commands = sorted(commands, key=lambda command: command.name)
        for command in self._commands:
            check_name(command.name)
            if not 1 <= len(command.description) <= LONGEST_DESCRIPTION:
                raise ValueError(
                    f"/{command.name} needs a description of up to {LONGEST_DESCRIPTION} characters"
                )
            self._add(command.name, command)
            for alias in command.aliases:
                check_alias(alias)
                self._add(alias, command)

    def _add(self, name: str, command: Command) -> None:
        if name in self._by_name:
            raise ValueError(f"/{name} is declared twice: by {self._by_name[name].name} and {command.name}")
        self._by_name[name] = command

    def find(self, name: str) -> Command | None:
        """Return the command of a name or alias, in any case."""
        return self._by_name.get(name.lower())

    def visible_to(self, role: Role) -> list[Command]:
        """Return the commands that a role may give and is shown, alphabetically."""
        return [command for command in self._commands if command.role <= role and not command.hidden]
