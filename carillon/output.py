"""What the commands print: words for people, JSON for machines, one line for what went wrong."""

import importlib.util
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.table import Table

console = Console(highlight=False)


def fail(message: str, *, code: int = 2) -> NoReturn:
    """End the command with one line on stderr."""
    print(f"carillon: {message}", file=sys.stderr)
    raise typer.Exit(code)


def need_checkout() -> None:
    """End the command with one line where the simulators are missing, as they are in the services' image."""
    if importlib.util.find_spec("devstack") is None:
        fail(
            "this command brings its own world, which is not installed here; run it in a checkout of Carillon"
        )


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    text = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    sys.stdout.write(text.decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)
