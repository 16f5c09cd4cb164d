"""`carillon why`: the life of one thing, as streams and tables tell it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree
from sqlalchemy.exc import SQLAlchemyError

from carillon.output import console, fail, print_json
from carillon.system import SERVICES, JsonOption, StackOption, System
from carillon.why.steps import Node, Step, grown
from carillon.why.streams import Headers
from carillon.why.tables import of_clicks, of_gateway, of_scheduler, of_senders
from carillon.why.wanted import NoId, Wanted, read
from shared.database import Database
from shared.record.trimmed import cuts

LOOKS = 4
"""How often is looked again for what was named by what was found: cause, message, delivery, press."""
EARLIER = timedelta(days=3)
"""How long before what tables know of there may be a cause: as long as a request may lie in its stream."""
WIDEST = 1000
TABLES: dict[str, Callable[[Database, Wanted], AsyncIterator[Step]]] = {
    "gateway": of_gateway,
    "scheduler": of_scheduler,
    "senders": of_senders,
    "clicks": of_clicks,
}

IdArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A message, delivery, press or event (UUID); an update (`918273645` or `<bot id>:<update id>`); "
        "a promo slot (`default@2026-03-29T08:00:00Z`); a dead letter (`dlq:7`); or a trace id.",
    ),
]


def command(which: IdArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Tell the life of an update, a press, a message, a delivery, a promo slot or a dead letter, in order."""
    try:
        wanted = read(which)
    except NoId:
        fail(f"'{which}' is no id that anything could have: see `carillon why --help`")
    try:
        steps, before = asyncio.run(_gather(System.find(stack), wanted))
    except (OSError, asyncpg.PostgresError, SQLAlchemyError) as error:
        fail(f"a database of this system cannot be used ({type(error).__name__})", code=1)
    nodes = grown(steps)
    if not nodes:
        trimmed = f"; events before {_newest(before)} are trimmed" if before else ""
        fail(f"nothing is known of {which}{trimmed}", code=1)
    if json:
        print_json({"id": which, "trimmed_before": before, "story": [node.view() for node in nodes]})
        return
    for node in nodes:
        _print(_tree(node))
    # What is younger than every cut is told whole.
    if any(step.at < at for step in steps for at in before.values()):
        console.print(f"Events before {_newest(before)} are trimmed: tables tell the rest.", style="dim")


def _newest(before: Mapping[str, datetime]) -> str:
    return max(before.values()).astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")


async def _gather(system: System, wanted: Wanted) -> tuple[list[Step], dict[str, datetime]]:
    """Return every step, each once, in its latest form; and until when the streams are trimmed."""
    steps: dict[str, Step] = {}
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(system.bus())
        databases = {
            name: await opened.enter_async_context(Database.open(system.database_url(name), pool_size=1))
            for name in SERVICES
        }
        cut = await bus.streams.cut()
        before = {name: each.before for name, each in (await cuts(databases["gateway"])).items()}
        headers = Headers(bus.streams, cut)
        if wanted.letter is not None:
            steps |= {step.key: step async for step in headers.told(wanted)}
        for _ in range(LOOKS):
            for name, database in databases.items():
                async for step in TABLES[name](database, wanted):
                    steps[step.key] = step
            known = wanted.size
            first = min((step.at for step in steps.values()), default=None)
            await headers.reach(first and first - EARLIER)
            async for step in headers.told(wanted):
                steps[step.key] = step
            # Only what the streams named for the first time can be behind more steps.
            if wanted.size == known:
                break
    return _caused(steps), before


def _caused(steps: dict[str, Step]) -> list[Step]:
    """Hang a request below the update or press of its trace, and a press below the delivery that it is on."""
    causes: dict[str, list[Step]] = defaultdict(list)
    for step in steps.values():
        if step.trace_id and step.what in ("update.received", "click.pressed"):
            causes[step.trace_id].append(step)
    found = []
    for step in steps.values():
        if step.parent is None and step.what == "message.requested" and causes.get(step.trace_id or ""):
            found.append(_below(step, causes[step.trace_id or ""][0].key))
        elif step.parent and step.parent not in steps and step.parent.startswith("event "):
            # The event is trimmed or of another system: the table still knows.
            found.append(_below(step, None))
        else:
            found.append(step)
    return found


def _below(step: Step, parent: str | None) -> Step:
    return Step(step.key, step.at, step.service, step.what, parent, step.attempt, step.trace_id, step.details)


def _print(tree: Tree) -> None:
    """Print a tree; where nobody looks at a terminal, nothing is folded or cut."""
    if console.is_terminal:
        console.print(tree)
        return
    wide = Console(width=WIDEST, highlight=False)
    with wide.capture() as captured:
        wide.print(tree)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _tree(node: Node) -> Tree:
    tree = Tree(_line(node.step, trace=True), guide_style="dim")
    _hang(tree, node)
    return tree


def _hang(tree: Tree, node: Node) -> None:
    for each in node.followed:
        _hang(tree.add(_line(each.step, trace=each.step.trace_id != node.step.trace_id)), each)


def _line(step: Step, *, trace: bool) -> str:
    at = step.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    more = "  ".join(f"{name} {_short(value)}" for name, value in step.details.items() if value is not None)
    traced = f"  trace {step.trace_id}" if trace and step.trace_id else ""
    kind, _, own = step.key.partition(" ")
    own = "" if kind == "attempt" else own
    return (
        f"[dim]{at}[/dim]  [cyan]{step.service}[/cyan]  [bold]{escape(step.what)}[/bold]  {escape(own)}  "
        + (f"[dim]{escape(more + traced)}[/dim]")
    )


def _short(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{value:.3f}" if isinstance(value, float) else str(value)
