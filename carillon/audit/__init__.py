"""`carillon audit`: every sum, recomputed from the streams and from the tables, up to a cut."""

import asyncio
from typing import Annotated

import typer

from carillon.audit.books import Audit, audit
from carillon.output import console, print_json, print_table
from carillon.system import JsonOption, StackOption, System

__all__ = ["Audit", "audit", "command"]

WaitOption = Annotated[
    float, typer.Option("--wait", help="Seconds to wait for every consumer to pass the cut.", min=0)
]


def command(stack: StackOption = None, wait: WaitOption = 30.0, json: JsonOption = False) -> None:
    """Compare streams and tables, event id by event id; exit 0 only when every difference is zero."""
    done = asyncio.run(_audit(System.find(stack), wait))
    if json:
        print_json(done.as_dict())
    else:
        show(done)
    raise typer.Exit(0 if done.balanced else 1)


def show(done: Audit) -> None:
    """Print an audit for a person."""
    rows = [
        (line.name, line.stream, line.tables, line.difference, line.note if line.difference else "")
        for line in done.lines
    ]
    print_table(("sum", "stream", "tables", "difference", ""), rows)
    if done.late:
        console.print(f"Not caught up: {', '.join(done.late)}.", style="yellow")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(done.messages.items()))
    console.print(f"Messages: {counts or 'none'}. Open dead letters: {done.dead_letters}.")
    console.print("[green]Balanced.[/green]" if done.balanced else "[red]Not balanced.[/red]")


async def _audit(system: System, wait: float) -> Audit:
    async with system.bus() as bus:
        return await audit(system, bus, wait_seconds=wait)
