"""The entry point of the command line."""

import importlib
import sys
from typing import Any

import typer
from typer import _click as click  # Typer's own copy, which the methods of its groups are declared with
from typer.core import TyperGroup

from shared.imports import uncollected

# Name → where it is. A command is imported when it is named: all of them together take a second to load.
COMMANDS = {
    "up": "up:command",
    "demo": "demo:command",
    "audit": "audit:command",
    "rebuild": "rebuild:command",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "forget": "forget:command",
    "reconcile": "reconcile:command",
    "trim": "trim:command",
    "why": "why:command",
    "dlq": "dlq:app",
    "keys": "keys:app",
    "promo": "promo:app",
    "schedule": "schedule:app",
    "template": "template:app",
    "webhook": "webhook:app",
}


def _imported(command: str) -> Any:
    module, _, name = COMMANDS[command].partition(":")
    return getattr(importlib.import_module(f"carillon.{module}"), name)


class Commands(TyperGroup):
    """The commands of `COMMANDS`, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Return the names of all commands, in the order of `--help`."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
        cmd_name: str,
    ) -> click.Command | None:
        """Import and return a command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        found = _imported(cmd_name)
        group = typer.Typer(add_completion=False)
        if isinstance(found, typer.Typer):
            group.add_typer(found, name=cmd_name)
        else:
            group.command(cmd_name)(found)
        return typer.main.get_group(group).commands[cmd_name]


app = typer.Typer(
    cls=Commands,
    help="Scheduled Telegram promos, counted presses, and notifications never lost, never doubled.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Take no options of its own."""


def main() -> None:
    """Run the command line, as a process of its own."""
    named = "".join(sys.argv[1:2])
    if named in COMMANDS:
        with uncollected():
            _imported(named)
    app()


if __name__ == "__main__":
    main()
