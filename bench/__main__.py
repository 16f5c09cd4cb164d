"""Runs figures and writes them down: `python -m bench`, or `make bench`.

The rounds of a figure are interleaved, and each row is a median: what disturbs the machine for a while
disturbs everybody who is compared.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bench import (
    alerts,
    broadcast,
    clicks,
    door,
    latency,
    machine,
    million,
    pipeline,
    presses,
    rebuild,
    resting,
    schedules,
    sizes,
    table,
    windows,
)
from bench.figures import Figure

README = Path(__file__).with_name("README.md")
FIGURES: dict[str, Callable[[int], Awaitable[Figure]]] = {
    "presses": presses.measure,
    "door": door.measure,
    "clicks": clicks.measure,
    "sizes": sizes.measure,
    "resting": resting.measure,
    "latency": latency.measure,
    "schedules": schedules.measure,
    "pipeline": pipeline.measure,
    "broadcast": broadcast.measure,
    "windows": windows.measure,
    "million": million.measure,
    "alerts": alerts.measure,
    "rebuild": rebuild.measure,
}
LONG = ("broadcast", "windows", "million", "alerts", "door", "sizes", "rebuild", "schedules")
"""They take minutes each, for limits are kept in real time: measured when they are named."""
BUSY = 1.0
"""A load average from which other programs disturb the figures."""
BUSY_NOTE = (
    " Other programs were running: the figures are low, most of all where several processes share the work."
)

FiguresArgument = Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(FIGURES)}.")]
RoundsOption = Annotated[int, typer.Option("--rounds", min=1, help="How often everything is measured.")]
WriteOption = Annotated[
    bool, typer.Option("--write", help=f"Write them into {README.name}, beside those of other runs.")
]


def main(figures: FiguresArgument = None, rounds: RoundsOption = 5, write: WriteOption = False) -> None:
    """Measure, and print a table for each figure."""
    chosen = figures or [name for name in FIGURES if name not in LONG]
    if unknown := set(chosen) - set(FIGURES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: expected some of {', '.join(FIGURES)}")
    for name in chosen:
        typer.echo(f"Measuring {name}", err=True)
        began = machine.load()
        measured = asyncio.run(_measured(FIGURES[name], rounds))
        section = table.report(name, measured, _facts(began, settling=name != chosen[0]))
        typer.echo(section + "\n")
        if write:
            table.write(README, section, list(FIGURES))


def _facts(load: float, *, settling: bool) -> str:
    """Return what a figure was taken on; after another figure the load average says nothing."""
    noise = "" if settling else f" The load average before was {load:.1f}."
    return machine.facts(datetime.now(UTC)) + noise + (BUSY_NOTE if load > BUSY and not settling else "")


async def _measured(measure: Callable[[int], Awaitable[Figure]], rounds: int) -> Figure:
    return await measure(rounds)


if __name__ == "__main__":
    typer.run(main)
