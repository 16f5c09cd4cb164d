"""`carillon rebuild`: a service's projections, made anew from the streams while everything works on."""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

import asyncpg
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption, System
from services.clicks import handlers as clicks
from services.gateway import handlers as gateway
from services.scheduler import handlers as scheduler
from shared.bus import Bus
from shared.database import Database
from shared.record.feeding import Projecting
from shared.record.rebuilding import Busy, Rebuilt, WouldLose, rebuild
from shared.topology import DURABLES

PROJECTING: dict[str, Callable[[Database], Projecting]] = {
    "clicks": clicks.projecting,
    "gateway": gateway.projecting,
    "scheduler": scheduler.projecting,
}
"""The services that have projections, and how each makes them; senders' ledger is state."""

ServiceArgument = Annotated[str, typer.Argument(help=f"One of: {', '.join(PROJECTING)}.")]
CheckOption = Annotated[
    bool, typer.Option("--check", help="Only compare; exit 1 when the tables are not as the streams say.")
]
LoseOption = Annotated[
    bool, typer.Option("--lose", help="Give up rows that the streams do not tell of (see reconcile).")
]


def command(
    service: ServiceArgument,
    stack: StackOption = None,
    check: CheckOption = False,
    lose: LoseOption = False,
    json: JsonOption = False,
) -> None:
    """Make what a service has learned from events anew, compare by checksum, and swap it in; send nothing."""
    if service not in PROJECTING:
        fail(f"{service} has no projections; expected one of: {', '.join(PROJECTING)}")
    began = time.monotonic()
    try:
        done = asyncio.run(_rebuild(System.find(stack), service, swap=not check, lose=lose, quiet=json))
    except Busy as busy:
        fail(f"{service} cannot be rebuilt now: {busy}", code=1)
    except WouldLose as loss:
        fail(f"rows would be lost ({loss}): run `carillon reconcile` first, or give --lose", code=1)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database of {service} cannot be used ({type(error).__name__})", code=1)
    seconds = time.monotonic() - began
    if json:
        print_json(_view(service, done, seconds, swapped=not check))
    else:
        _show(done, seconds, swapped=not check)
    raise typer.Exit(1 if check and not done.same else 0)


async def _rebuild(system: System, service: str, *, swap: bool, lose: bool, quiet: bool) -> Rebuilt:
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} events"),
        TextColumn("{task.fields[rate]:,.0f}/s"), TimeElapsedColumn(),
    )  # fmt: skip
    async with system.bus() as bus:
        total = await _events(bus, service)
        with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
            task = bar.add_task(f"rebuilding {service}", total=total, rate=0.0)

            def progress(events: int) -> None:
                shown = bar.tasks[task]
                bar.update(task, advance=events, rate=(shown.completed + events) / (shown.elapsed or 1.0))

            return await rebuild(
                system.database_url(service), bus.streams, PROJECTING[service],
                progress=progress, swap=swap, lose=lose,
            )  # fmt: skip


async def _events(bus: Bus, service: str) -> int:
    """Return how many events there may be: those of other kinds in the same streams count too."""
    streams = {each.stream for each in DURABLES if each.service == service}
    return sum([await bus.streams.count(stream) for stream in streams])


def _view(service: str, done: Rebuilt, seconds: float, *, swapped: bool) -> dict[str, Any]:
    tables = {
        each.table: {
            "old": each.old, "new": each.new, "added": each.added, "gone": each.gone, "changed": each.changed,
        }
        for each in done.compared
    }  # fmt: skip
    return {
        "service": service, "events": done.events, "seconds": seconds, "same": done.same, "swapped": swapped,
        "tables": tables,
    }  # fmt: skip


def _show(done: Rebuilt, seconds: float, *, swapped: bool) -> None:
    rows = [
        (each.table, each.old, each.new, "same" if each.same else
         f"{each.added} added, {each.gone} gone, {each.changed} changed")
        for each in done.compared
    ]  # fmt: skip
    print_table(("table", "rows before", "rows now" if swapped else "rows anew", "checksum"), rows)
    rate = done.events / seconds if seconds else 0
    console.print(f"{done.events:,} events in {seconds:.1f} s, {rate:,.0f} a second.")
    console.print("Swapped in." if swapped else "Nothing was changed.")
