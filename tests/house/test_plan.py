"""The house keeps its plan: the same rooms in every service, none too large, nothing of anybody's machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "carillon", "deploy", "devstack", "services", "shared")
ROOMS = {"__init__.py", "__main__.py", "app.py", "settings.py", "migrations"} | {
    name for room in ("domain", "handlers", "store", "api") for name in (room, f"{room}.py")
}
EXTRA_ROOMS = {
    "scheduler": {"clock", "clock.py", "templates"},
    "clicks": set(),
    "senders": {"channels", "channels.py", "templates"},
    "gateway": {"bot", "bot.py"},
}
FILE_LINES, FUNCTION_LINES = 350, 60
"""Limits that stop a build; the rule of thumb is 200 and 30."""
CATALOGUES = {"shared/events.py", "shared/queries.py"}
"""Lists of contracts that are read from the top; divided, they would be harder to find things in."""

sources = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
each_source = pytest.mark.parametrize("source", sources, ids=lambda source: str(source.relative_to(ROOT)))


def tracked() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every file under version control."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if file.is_file():
            yield name, file.read_text(errors="replace")


def test_services_are_the_four() -> None:
    """A fifth service is a decision, not an accident."""
    found = {
        path.name for path in (ROOT / "services").iterdir() if path.is_dir() and path.name != "__pycache__"
    }

    assert found == set(EXTRA_ROOMS)


@pytest.mark.parametrize("service", EXTRA_ROOMS)
def test_rooms_of_a_service(service: str) -> None:
    """Who knows one service finds the way in every other."""
    found = {path.name for path in (ROOT / "services" / service).iterdir() if path.name != "__pycache__"}

    assert found <= ROOMS | EXTRA_ROOMS[service]
    assert found >= {"__init__.py", "__main__.py", "app.py", "settings.py", "migrations"}


@each_source
def test_source_is_not_too_large(source: Path) -> None:
    """A room that outgrows the hard limit is divided before anything else is built in it."""
    text = source.read_text()
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = [each.name for each in functions if (each.end_lineno or 0) - each.lineno >= FUNCTION_LINES]

    assert text.count("\n") <= FILE_LINES or str(source.relative_to(ROOT)) in CATALOGUES
    assert long == []


@each_source
def test_exceptions_to_the_rules_have_a_reason(source: Path) -> None:
    """A silenced check says why, on its line or on a comment line above."""
    lines = source.read_text().splitlines()
    silent = [
        number
        for number, line in enumerate(lines, 1)
        if re.search(r"# (noqa(: [A-Z0-9, ]+)?|type: ignore(\[[^]]*\])?)\s*$", line)
        and not lines[number - 2].lstrip().startswith("#")
    ]

    assert silent == []


@pytest.mark.parametrize(
    "source",
    [file for file in sources if re.search(r"services/\w+/(domain|store)\b", str(file))],
    ids=lambda source: str(source.relative_to(ROOT)),
)
def test_time_and_chance_enter_as_arguments(source: Path) -> None:
    """Domain and store never look at a clock or roll dice, so that a test can say what time it is."""
    asked = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for call in ast.walk(ast.parse(source.read_text()))
        if isinstance(call, ast.Call) and isinstance(node := call.func, ast.Attribute | ast.Name)
        if not (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "func"
        )
    }

    assert (
        asked & {"now", "utcnow", "today", "time", "monotonic", "uuid4", "uuid1", "random", "token_urlsafe"}
        == set()
    )


def test_nothing_names_a_machine() -> None:
    """No file knows a path of the machine it was written on."""
    own = re.escape(f"{ROOT}/") if len(ROOT.parts) > 2 else "$^"
    named = [name for name, text in tracked() if re.search(rf"{own}|/(?:home|Users)/\w+/|/root/\w", text)]

    assert named == []


def test_nothing_names_a_registry() -> None:
    """Where packages come from is the installer's business."""
    words = [
        "index" + "-url =",
        "index" + "-url http",
        "files.python" + "hosted",
        "pypi." + "org/simple",
        "_INDEX" + "_URL",
    ]
    named = [(name, word) for name, text in tracked() for word in words if word in text]

    assert named == []
