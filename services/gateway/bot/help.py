"""`/help`: what the bot can do for whoever asks."""

from collections.abc import Callable

from services.gateway.bot.registry import Asked, Command, Hands, Registry
from services.gateway.domain.roles import Role
from shared.markdown import Message


def help_command(registry: Callable[[], Registry]) -> Command:
    """Return the command that explains the registry which it becomes part of itself."""

    async def show(asked: Asked, _: Hands) -> Message:
        return explain(registry(), asked)

    return Command(
        name="help",
        category="general",
        description="What I can do",
        role=Role.PUBLIC,
        run=show,
        usage="[command]",
        help="Lists the commands that you may use, or explains one of them.",
    )


def explain(registry: Registry, asked: Asked) -> Message:
    """Write the list of commands for a role, or the details of the one that is asked for."""
    if not asked.rest:
        return _list(registry, asked)
    name = asked.words[0].removeprefix("/")
    command = registry.find(name)
    if command is None or command.role > asked.user.role:
        return Message().text(asked.say("help.none", name=name[:64]))
    message = Message().title(_written(command)).blank().text(command.explained(asked.user.language))
    if command.aliases:
        names = ", ".join(f"/{alias}" for alias in command.aliases)
        message.blank().text(asked.say("help.also", names=names))
    if command.role > Role.PUBLIC:
        message.blank().text(asked.say("help.role", role=command.role.name))
    return message


def _list(registry: Registry, asked: Asked) -> Message:
    message = Message().title(asked.say("help.title")).blank()
    for command in registry.visible_to(asked.user.role):
        message.bullet(f"{_written(command)} - {command.described(asked.user.language)}")
    return message.blank().text(asked.say("help.more"))


def _written(command: Command) -> str:
    return f"/{command.name} {command.usage}".rstrip()
