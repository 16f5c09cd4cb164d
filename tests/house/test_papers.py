"""What README and CONTRIBUTING say is there, is there."""

import importlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
PAPERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
SERVICES = ("clicks", "gateway", "scheduler", "senders")
README = (ROOT / "README.md").read_text()


def code(paper: str) -> str:
    """Return the commands and names in a paper: what stands between backticks."""
    return "\n".join(re.findall(r"```\w*\n.*?```|`[^`\n]+`", (ROOT / paper).read_text(), re.DOTALL))


def commands() -> list[tuple[str, ...]]:
    """Return the commands of README's table, each split into words, like ("dlq", "list")."""
    found: list[tuple[str, ...]] = []
    for cell in re.findall(r"^\| (`carillon [^|]+) \|", README, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", cell)
        _, name, *subcommand = first.split()
        found += [(name, *subcommand), *((name, other) for other in others)]
    return found


def settings_of(place: str) -> set[str]:
    """Return the names of the environment variables that a service, or `prepare`, takes."""
    module = importlib.import_module("deploy.prepare" if place == "prepare" else f"services.{place}.settings")
    classes = [
        each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Settings)
    ]
    return {field.upper() for each in classes for field in each.model_fields}


def settings_table() -> list[tuple[str, str]]:
    """Return (place, setting) for each row of README's table and each place that the row names."""
    rows = re.findall(r"^\| (`[A-Z][A-Z_`, ]+`) \| ([a-z, ]+) \|", README, re.MULTILINE)
    return [
        (place, name)
        for names, places in rows
        for name in re.findall(r"`([A-Z_]+)`", names)
        for place in (SERVICES if places == "all" else places.split(", "))
        if not name.startswith("OTEL_")
    ]


@pytest.mark.parametrize("paper", PAPERS)
def test_targets_exist(paper: str) -> None:
    """Every `make` target that a paper names is one, with a line of help."""
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z-]+)", code(paper))) <= targets


def test_commands_exist() -> None:
    """README's table has every command of the command line, and no other."""

    def walk(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
        if not hasattr(command, "list_commands"):
            yield names
            return
        context = command.make_context(None, [], resilient_parsing=True)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), *names, name)

    entry = importlib.import_module("carillon.__main__")

    assert set(commands()) == set(walk(typer.main.get_command(entry.app)))


@pytest.mark.parametrize(("place", "setting"), settings_table())
def test_settings_exist(place: str, setting: str) -> None:
    """Every setting in README's table is one of the place that the table says."""
    assert setting in settings_of(place)


def test_tables_are_read() -> None:
    """The two tests above read README's tables, and not nothing."""
    assert ("dlq", "replay") in commands()
    assert ("clicks", "NATS_URL") in settings_table()
    assert ("senders", "SMTP_PORT") in settings_table()


@pytest.mark.parametrize("paper", PAPERS)
def test_links_lead_somewhere(paper: str) -> None:
    """A link to a file of the repository leads to a file."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / paper).read_text())

    assert [link for link in links if not (ROOT / link).exists()] == []


def test_decisions_are_numbered_and_whole() -> None:
    """Decisions are numbered without a gap, and each has context, decision and consequences."""
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(record.name[:4]) for record in records]

    assert numbers[0] == 1
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
    for record, number in zip(records, numbers, strict=True):
        text = record.read_text()
        assert text.startswith(f"# {number}. ")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), record.name
