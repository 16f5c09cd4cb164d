"""The commands of the bot, each declared once."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.gateway.bot import texts
from services.gateway.domain.commands import check_alias, check_name, press_data
from services.gateway.domain.roles import Role
from services.gateway.domain.updates import Written
from services.gateway.store import Broadcasts, Guides, UpdateLog, User, Users, Wish
from shared.bus import Bus
from shared.events import Button, UpdateReceived
from shared.markdown import Message

LONGEST_DESCRIPTION = 256


class NotUnderstood(Exception):
    """What follows a command's name makes no sense; the reply tells how the command is used."""


@dataclass(frozen=True)
class Hands:
    """What commands work with: the bus, and gateway's own tables."""

    bus: Bus
    users: Users
    guides: Guides
    log: UpdateLog
    broadcasts: Broadcasts


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

    @property
    def wish(self) -> Wish:
        """This, where it asks for a change: a later one counts before it."""
        return Wish(self.cause, self.update.at, self.update.update_id)

    @property
    def words(self) -> list[str]:
        """What follows the name, word by word."""
        return self.rest.split()

    def say(self, key: str, /, **values: object) -> str:
        """Return a text in the language of whoever asked."""
        return texts.say(self.user.language, key, **values)

    def press(self, key: str, command: str, rest: str = "", /, **values: object) -> Button:
        """Return a button that gives a command when it is pressed, its text in the asker's language."""
        return self.button(self.say(key, **values), command, rest)

    def button(self, label: str, command: str, rest: str = "") -> Button:
        """Return a button that gives a command when it is pressed."""
        return Button(text=label, data=press_data(command, rest))

    async def again(self, hands: Hands) -> "Asked":
        """Return this with the person as they are now, after a change of theirs."""
        return replace(self, user=await hands.users.find(self.user.telegram_id) or self.user)


Run = Callable[[Asked, Hands], Awaitable[Message]]


@dataclass(frozen=True)
class Command:
    """A command: its name, what it is for, who may give it, and the function that does it.

    `usage` is what may follow the name; `help` is a paragraph for `/help <name>`. A `private` one is answered
    in private chats only: what it shows, or changes, is nobody else's business. A button gives a command too.
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
    private: bool = False
    after: Run | None = None
    """What takes longer than an update may be handled: it starts once the reply is given, and is said in one
    of its own. A process that dies meanwhile leaves it undone, so it changes nothing."""

    def described(self, language: str | None) -> str:
        """Return the description in a language, else as it was declared."""
        return texts.find(language, f"commands.{self.name}.description") or self.description

    def explained(self, language: str | None) -> str:
        """Return the help in a language, else as it was declared."""
        return texts.find(language, f"commands.{self.name}.help") or self.help


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

    def visible_to(self, role: Role, *, in_groups: bool = False) -> list[Command]:
        """Return the commands that a role may give and is shown (`in_groups`: there), alphabetically."""
        return [
            command
            for command in self._commands
            if command.role <= role and not command.hidden and not (in_groups and command.private)
        ]
