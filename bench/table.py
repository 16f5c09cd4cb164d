"""The report: a table for each figure, written between the markers of a README."""

from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure, Row, Target

BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"


def report(figures: Sequence[Figure], facts: str) -> str:
    """Return the figures as Markdown."""
    return "\n\n".join([facts, *(_figure(each) for each in figures)])


def write(file: Path, text: str) -> None:
    """Put a report between the markers of a file; raises ValueError where it has none."""
    before, found, rest = file.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{file} has no markers to write between")
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _figure(figure: Figure) -> str:
    lines = [f"### {figure.title}", "", figure.how, "", "| | median | from, to | |", "|---|---:|---:|---|"]
    lines += [_row(each) for each in figure.rows]
    if figure.targets:
        lines += ["", "| against | promised | reached | from, to | |", "|---|---:|---:|---:|---|"]
        lines += [_target(each) for each in figure.targets]
    lines += _missed(figure.targets)
    return "\n".join(lines)


def _row(row: Row) -> str:
    return f"| {row.what} | {_number(row.median)} {row.unit} | {_range(row.values)} | {row.more} |"


def _target(target: Target) -> str:
    sign, verdict = "≤" if target.at_most else "≥", "kept" if target.is_met else "**missed**"
    return (
        f"| {target.what} | {sign} {target.bound:g} | {_number(target.median)} | {_range(target.values)} "
        f"| {verdict} |"
    )


def _missed(targets: Sequence[Target]) -> list[str]:
    """Say of every reason once what is missed for it."""
    missed = [each for each in targets if not each.is_met]
    return [
        f"\n**Missed: {', '.join(each.what for each in missed if each.why == why)}.** {why}"
        for why in dict.fromkeys(each.why for each in missed)
    ]


def _range(values: Sequence[float]) -> str:
    return f"{_number(min(values))}, {_number(max(values))}" if len(values) > 1 else ""


def _number(value: float) -> str:
    """Write a number as precisely as it is known: three figures."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
