"""`/help`: what the bot can do for whoever asks."""

from collections.abc import Callable

from services.gateway.bot.registry import Asked, Command, Hands, Registry
from services.gateway.domain.roles import Role
from shared.markdown import Message


def help_command(registry: Callable[[], Registry]) -> Command:
    """Return the command that explains the registry which it becomes part of itself."""

    async def show(asked: Asked, _: Hands) -> Message:
        return explain(registry(), asked.rest, asked.user.role)

    return Command(
        name="help",
        category="general",
        description="What I can do",
        role=Role.PUBLIC,
        run=show,
        usage="[command]",
        help="Lists the commands that you may use, or explains one of them.",
    )


def explain(registry: Registry, rest: str, role: Role) -> Message:
    """Write the list of commands for a role, or the details of the one that is asked for."""
    if not rest:
        return _list(registry, role)
    name = rest.split(maxsplit=1)[0].removeprefix("/")
    command = registry.find(name)
    if command is None or command.role > role:
        return Message().text(f"There is no command /{name[:64]} for you. Send /help to see those there are.")
    message = Message().title(_written(command)).blank().text(command.help)
    if command.aliases:
        message.blank().text("Also: " + ", ".join(f"/{alias}" for alias in command.aliases))
    if command.role > Role.PUBLIC:
        message.blank().text(f"For the role {command.role.name} and above.")
    return message


def _list(registry: Registry, role: Role) -> Message:
    message = Message().title("What I can do").blank()
    for command in registry.visible_to(role):
        message.bullet(f"{_written(command)} - {command.description}")
    return message.blank().text("Send /help and a command's name to read more about it.")


def _written(command: Command) -> str:
    return f"/{command.name} {command.usage}".rstrip()
