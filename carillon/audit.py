"""`carillon audit`: every sum, recomputed from the streams and from the tables, up to a cut."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from carillon.output import console, print_json, print_table
from carillon.system import JsonOption, StackOption, System
from shared.bus import Bus, NobodyThere, Streams
from shared.database import Database
from shared.queries import Books, Query
from shared.record.auditing import ASK_SECONDS, Audit
from shared.record.auditing import audit as audit_all

WaitOption = Annotated[
    float, typer.Option("--wait", help="Seconds to wait for every consumer to pass the cut.", min=0)
]

BookOf = Callable[[Any, Database, Streams], Awaitable[Books]]
"""What a service would answer, asked of its tables while it is stopped."""


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
    rows = [(line.name, line.stream, line.tables, line.difference, line.note) for line in done.lines]
    print_table(("sum", "stream", "tables", "difference", ""), rows)
    if done.late:
        console.print(f"Not caught up: {', '.join(done.late)}.", style="yellow")
    if done.silent:
        console.print(f"No answer from: {', '.join(done.silent)}.", style="yellow")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(done.messages.items()))
    console.print(f"Messages: {counts or 'none'}. Open dead letters: {done.dead_letters}.")
    console.print("[green]Balanced.[/green]" if done.balanced else "[red]Not balanced.[/red]")


async def audit(system: System, bus: Bus, *, wait_seconds: float = 30.0) -> Audit:
    """Audit a system; where a service is stopped, its tables are asked in its stead if they are known."""
    return await audit_all(
        bus, wait_seconds=wait_seconds, ask=lambda question: ask_books(system, bus, question)
    )


async def ask_books(system: System, bus: Bus, question: Query[Books]) -> Books:
    """Ask a service for its books; where it is stopped, its tables in its stead, if they are known."""
    try:
        return await bus.ask(question, timeout=ASK_SECONDS)
    except NobodyThere:
        if question.service not in system.database_urls:
            raise
    async with Database.open(system.database_url(question.service), pool_size=1) as database:
        return await book_of(question.service)(question, database, bus.streams)


def book_of(service: str) -> BookOf:
    """Import what a service answers with; all of them take longer to load than an audit does."""
    book: BookOf = importlib.import_module(f"services.{service}.api").audit
    return book


async def _audit(system: System, wait: float) -> Audit:
    async with system.bus() as bus:
        return await audit(system, bus, wait_seconds=wait)
