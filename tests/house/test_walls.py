"""The walls of the house stand, and each of them is seen to stop somebody."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
OFFENCES = [
    ("Packages stand in one order", "shared.ids", "import services.clicks"),
    ("Packages stand in one order", "services.clicks.app", "import deploy"),
    ("Packages stand in one order", "deploy.prepare", "import carillon"),
    ("Packages stand in one order", "carillon.dlq", "import bench"),
    ("Services are independent", "services.gateway.app", "import services.senders"),
    ("Services are independent", "services.clicks.api", "from services.scheduler import store"),
    ("Rooms of a service stand in one order", "services.scheduler.store", "import services.scheduler.app"),
    ("Rooms of a service stand in one order", "services.clicks.handlers", "import services.clicks.api"),
    ("Rooms of a service stand in one order", "services.senders.store", "import services.senders.channels"),
    ("Rooms of a service stand in one order", "services.senders.settings", "import services.senders.domain"),
    ("Rooms of a service stand in one order", "services.clicks.helpers", "import math"),
    ("Domains do no input or output", "services.clicks.domain", "import asyncio"),
    ("Domains do no input or output", "services.senders.domain", "from sqlalchemy import text"),
    ("Domains do no input or output", "services.scheduler.domain", "import shared.bus"),
    ("Only bus and topology know the broker", "services.gateway.app", "import nats"),
    ("Only bus and topology know the broker", "deploy.prepare", "from faststream.nats import NatsBroker"),
    ("Only up, demo and bench know devstack", "carillon.dlq", "import devstack"),
    ("Only up, demo and bench know devstack", "carillon.__main__", "from devstack import nats as broker"),
]


def walls(tree: Path) -> tuple[int, str]:
    """Return the exit code and the report of the import linter on a tree."""
    linted = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as lint; lint()",
            "--no-cache",
        ],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return linted.returncode, linted.stdout + linted.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a test a copy of the house, to misbehave in."""
    for package in ("bench", "carillon", "deploy", "devstack", "services", "shared"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(tree: Path, module: str, line: str) -> None:
    """Add a line to a module, which is made where it is missing."""
    place = tree.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    with file.open("a") as source:
        source.write(f"\n{line}\n")


def test_walls_stand(tree: Path) -> None:
    """The house as it is keeps every contract."""
    code, report = walls(tree)

    assert code == 0, report
    assert f"{len(CONTRACTS)} kept, 0 broken" in report


@pytest.mark.parametrize(
    ("contract", "module", "line"), OFFENCES, ids=lambda value: str(value).replace(" ", "_")
)
def test_wall_stops_an_offender(tree: Path, contract: str, module: str, line: str) -> None:
    """One import too many breaks the contract that forbids it."""
    plant(tree, module, line)

    code, report = walls(tree)

    assert code == 1, report
    assert f"{contract} BROKEN" in report


def test_every_wall_is_tried() -> None:
    """There is no contract that has not been seen to fail."""
    assert {contract for contract, _, _ in OFFENCES} == {contract["name"] for contract in CONTRACTS}
