"""`carillon reconcile`: what the streams have lost, told again from the tables that still know it."""

import asyncio
from typing import Annotated

import asyncpg
import typer

from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption, System
from services.clicks.store.copies import COPIES as OF_CLICKS
from services.gateway.store.copies import COPIES as OF_GATEWAY
from services.scheduler.store.copies import COPIES as OF_SCHEDULER
from services.senders.handlers.retelling import COPIES as OF_SENDERS
from shared.bus import BusUnavailable
from shared.database import Database
from shared.record.reconciling import Copies, Reconciled, reconcile

COPIES: dict[str, tuple[Copies, ...]] = {
    "scheduler": OF_SCHEDULER, "clicks": OF_CLICKS, "senders": OF_SENDERS, "gateway": OF_GATEWAY,
}  # fmt: skip

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be told again.")]


def command(stack: StackOption = None, dry_run: DryRunOption = False, json: JsonOption = False) -> None:
    """Publish again what the streams have lost; exit 1 when something is lost that no table can tell."""
    try:
        found = asyncio.run(_reconcile(System.find(stack), dry_run=dry_run))
    except BusUnavailable as error:
        fail(f"the broker did not answer ({error}); run it again", code=1)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"a database cannot be used ({type(error).__name__})", code=1)
    lost = sum(each.missing - each.told for each in found)
    if json:
        print_json({"streams": [vars(each) for each in found], "dry_run": dry_run, "lost": lost})
    else:
        _show(found, lost, dry_run=dry_run)
    raise typer.Exit(1 if lost else 0)


async def _reconcile(system: System, *, dry_run: bool) -> list[Reconciled]:
    found: list[Reconciled] = []
    async with system.bus() as bus:
        for service, copies in COPIES.items():
            async with Database.open(system.database_url(service), pool_size=1) as database:
                found += await reconcile(service, database, bus, copies, dry_run=dry_run)
    return found


def _show(found: list[Reconciled], lost: int, *, dry_run: bool) -> None:
    rows = [
        (each.stream, ", ".join(each.subjects), each.service, each.missing, each.told,
         ", ".join(each.examples))
        for each in found
    ]  # fmt: skip
    print_table(
        ("stream", "subjects", "known by", "missing", "would be told" if dry_run else "told again", ""), rows
    )
    if lost:
        console.print(f"[red]{lost} cannot be told again: no table knows enough of them.[/red]")
