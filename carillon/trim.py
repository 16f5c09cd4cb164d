"""`carillon trim`: events that are old enough, and that everybody has read, go from the streams."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import SQLAlchemyError

from carillon.audit import ask_books, show
from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption, System
from services.clicks import handlers as clicks
from services.gateway import handlers as gateway
from services.scheduler import handlers as scheduler
from services.senders import handlers as senders
from shared.bus import Bus, BusUnavailable, NoAnswer, NobodyThere, Refusal
from shared.queries import Kept
from shared.record.ages import Ages, AgeSettings
from shared.record.keeping import Keep, Keeping, keep
from shared.record.trimming import KEEP_SECONDS, Plan, Unbalanced, plan, trim
from shared.settings import load

KEEPING: dict[str, Keeping] = {
    "clicks": clicks.KEEPING,
    "gateway": gateway.KEEPING,
    "scheduler": scheduler.KEEPING,
    "senders": senders.KEEPING,
}
"""What each service writes down of trimmed events, in its stead while it is stopped."""

DaysOption = Annotated[
    float | None,
    typer.Option(
        "--days", help="Age of events that may go; default STREAM_DAYS. 0: none.", min=0, show_default=False
    ),
]
TextDaysOption = Annotated[
    float | None,
    typer.Option(
        "--update-text-days",
        help="Age of updates that may go; default UPDATE_TEXT_DAYS.",
        min=0,
        show_default=False,
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]


def command(
    stack: StackOption = None,
    days: DaysOption = None,
    update_text_days: TextDaysOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Trim the streams: what everybody has read goes when it is old, once every service has noted it."""
    ages = _ages(days, update_text_days)
    try:
        done = asyncio.run(_trim(System.find(stack), ages, dry_run=dry_run, quiet=json))
    except Unbalanced as problem:
        if not json:
            show(problem.audit)
        fail(f"the books do not balance ({problem}): nothing was trimmed", code=1)
    except (NoAnswer, BusUnavailable) as error:
        fail(f"{error}; run it again, it goes on from here", code=1)
    except Refusal as refusal:
        fail(f"{refusal.title}: {refusal.detail}; run it again later", code=1)
    except (OSError, asyncpg.PostgresError, SQLAlchemyError) as error:
        fail(
            f"a database cannot be used ({type(error).__name__}); run it again, it goes on from here", code=1
        )
    if json:
        print_json(_view(done, dry_run=dry_run))
    else:
        _show(done, dry_run=dry_run)


def _ages(days: float | None, update_text_days: float | None) -> Ages:
    known = load(AgeSettings).ages()
    return Ages(
        known.days if days is None else days or None,
        known.update_text_days if update_text_days is None else update_text_days,
    )


async def _trim(system: System, ages: Ages, *, dry_run: bool, quiet: bool) -> Plan:
    now = datetime.now(UTC)
    async with system.bus() as bus:
        made = await plan(bus, ages, now)
        if dry_run or not made.events:
            return made
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} events"),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
            task = bar.add_task("auditing, then trimming", total=made.events)
            return await trim(
                bus, ages, now,
                books=lambda question: ask_books(system, bus, question),
                keep=lambda question: ask_to_keep(system, bus, question),
                progress=lambda events: bar.update(task, advance=events),
            )  # fmt: skip


async def ask_to_keep(system: System, bus: Bus, question: Keep) -> Kept:
    """Have a service write down what it needs; where it is stopped it is done in its stead."""
    try:
        return await bus.ask(question, timeout=KEEP_SECONDS)
    except NobodyThere:
        if question.service not in system.database_urls:
            raise
    return await keep(system.database_url(question.service), bus.streams, question, KEEPING[question.service])


def _view(done: Plan, *, dry_run: bool) -> dict[str, Any]:
    streams = {
        part.stream: {
            "trimmed": 0 if dry_run else part.trimmed, "would_go": part.events, "sequence": part.cut,
            "before": part.before, "held_by": part.held_by,
        }
        for part in done.parts
    }  # fmt: skip
    return {"dry_run": dry_run, "streams": streams, "trimmed": _gone(done, dry_run=dry_run)}


def _gone(done: Plan, *, dry_run: bool) -> int:
    return 0 if dry_run else sum(part.trimmed for part in done.parts)


def _show(done: Plan, *, dry_run: bool) -> None:
    rows = [
        (
            part.stream,
            f"{part.events if dry_run else part.trimmed:,}",
            part.before.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if part.before else "",
            ", ".join(part.held_by),
        )
        for part in done.parts
    ]
    print_table(("stream", "would go" if dry_run else "gone", "stored by (UTC)", "held back by"), rows)
    if dry_run:
        console.print(f"{done.events:,} events at most would go. Nothing was changed.")
    elif not done.events:
        console.print("Nothing to trim: all that is left is younger, or not read by everybody.")
    else:
        console.print(
            f"{_gone(done, dry_run=False):,} events trimmed. What they said is kept by every service."
        )
