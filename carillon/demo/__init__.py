"""`carillon demo`: the whole story on a throwaway stack, its numbers read from the outside."""

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carillon.output import console, fail, need_checkout, print_json
from carillon.system import JsonOption

if TYPE_CHECKING:
    from carillon.demo.numbers import Numbers

BREAKS = ("lose-replies", "send-twice", "drop-row")

BreakOption = Annotated[
    str | None,
    typer.Option(
        "--break",
        help="Show that the demo can fail: lose-replies (Telegram takes messages and never answers), "
        "send-twice (a campaign message goes out twice), drop-row (a click's row is deleted).",
    ),
]


def command(break_: BreakOption = None, json: JsonOption = False) -> None:
    """Tell the whole story on a throwaway stack; exit 0 only if every number is right."""
    if break_ is not None and break_ not in BREAKS:
        fail(f"--break is '{break_}'; expected one of: {', '.join(BREAKS)}")
    need_checkout()
    with tempfile.TemporaryDirectory(prefix="carillon-demo-") as folder:
        numbers = asyncio.run(_run(Path(folder), break_, json=json))
    if json:
        print_json(numbers.as_dict())
    else:
        _show(numbers)
    raise typer.Exit(0 if numbers.right else 1)


async def _run(folder: Path, break_: str | None, *, json: bool) -> "Numbers":
    from carillon.demo.story import Story, options
    from carillon.up.processes import NotReady
    from carillon.up.running import running
    from deploy.prepare import NotPrepared
    from devstack.servers import NotStarted

    def say(line: str) -> None:
        if not json:
            console.print(line, highlight=False)

    say("A throwaway stack; leases, ack waits and retries are shortened to seconds by settings.")
    story = Story(say, break_)
    try:
        async with running(
            options(folder, story.before_services), lambda line: say(f"[dim]· {line}[/dim]")
        ) as stack:
            return await story.tell(stack)
    except (NotStarted, NotReady, NotPrepared) as problem:
        fail(str(problem), code=1)


def _show(numbers: "Numbers") -> None:
    console.print()
    for name, value in numbers.as_dict().items():
        wrong = name in numbers.wrong
        console.print(f"  {name:<22} {value}", style="red" if wrong else None, highlight=False)
    console.print(
        "\n[green]Every number is right, and the books balance.[/green]"
        if numbers.right
        else f"\n[red]Wrong: {', '.join(numbers.wrong)}.[/red]"
    )
