"""The walls of the house stand, and each of them is seen to stop somebody."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
# The contract, the module that offends, the line that does, and what the report has to say of it.
OFFENCES = [
    (
        "Packages stand in one order",
        "shared.ids",
        "import services.clicks",
        "shared.ids -> services.clicks (",
    ),
    (
        "Packages stand in one order",
        "services.clicks.app",
        "import deploy",
        "services.clicks.app -> deploy (",
    ),
    ("Packages stand in one order", "deploy.prepare", "import carillon", "deploy.prepare -> carillon ("),
    ("Packages stand in one order", "carillon.dlq", "import bench", "carillon.dlq -> bench ("),
    (
        "Services are independent",
        "services.gateway.app",
        "import services.senders",
        "services.gateway.app -> services.senders (",
    ),
    (
        "Services are independent",
        "services.clicks.api",
        "from services.scheduler import store",
        "services.clicks.api -> services.scheduler.store (",
    ),
    (
        "Rooms of a service stand in one order",
        "services.scheduler.store",
        "import services.scheduler.app",
        "services.scheduler.store -> services.scheduler.app (",
    ),
    (
        "Rooms of a service stand in one order",
        "services.clicks.handlers",
        "import services.clicks.api",
        "services.clicks.handlers -> services.clicks.api (",
    ),
    (
        "Rooms of a service stand in one order",
        "services.senders.store",
        "import services.senders.channels",
        "services.senders.store -> services.senders.channels (",
    ),
    (
        "Rooms of a service stand in one order",
        "services.senders.settings",
        "import services.senders.domain",
        "services.senders.settings -> services.senders.domain (",
    ),
    (
        "Rooms of a service stand in one order",
        "services.clicks.helpers",
        "import math",
        "services.clicks.helpers",
    ),
    (
        "Domains do no input or output",
        "services.clicks.domain",
        "import asyncio",
        "services.clicks.domain -> asyncio (",
    ),
    (
        "Domains do no input or output",
        "services.senders.domain",
        "from sqlalchemy import text",
        "services.senders.domain -> sqlalchemy (",
    ),
    (
        "Domains do no input or output",
        "services.scheduler.domain",
        "import shared.bus",
        "services.scheduler.domain -> shared.bus (",
    ),
    (
        "Only bus and topology know the broker",
        "services.gateway.app",
        "import nats",
        "services.gateway.app -> nats (",
    ),
    (
        "Only bus and topology know the broker",
        "deploy.prepare",
        "from faststream.nats import NatsBroker",
        "deploy.prepare -> faststream (",
    ),
    (
        "Only up, demo and bench know devstack",
        "carillon.dlq",
        "import devstack",
        "carillon.dlq -> devstack (",
    ),
    (
        "Only up, demo and bench know devstack",
        "carillon.__main__",
        "from devstack import nats as broker",
        "carillon.__main__ -> devstack.nats (",
    ),
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


def copy(folder: Path) -> Path:
    """Copy the house into a folder, to misbehave in; return the folder."""
    for package in ("bench", "carillon", "deploy", "devstack", "services", "shared"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def plant(tree: Path, module: str, line: str) -> None:
    """Add a line to a module, which is made where it is missing."""
    place = tree.joinpath(*module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    with file.open("a") as source:
        source.write(f"\n{line}\n")


def test_walls_stand(tmp_path: Path) -> None:
    """The house as it is keeps every contract."""
    code, report = walls(copy(tmp_path))

    assert code == 0, report
    assert f"{len(CONTRACTS)} kept, 0 broken" in report


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Plant all offences in one copy of the house; give what the report says of each contract."""
    tree = copy(tmp_path_factory.mktemp("offended"))
    for _, module, line, _ in OFFENCES:
        plant(tree, module, line)

    code, report = walls(tree)

    assert code == 1, report
    told = report.partition("Broken contracts\n")[2]
    return dict(re.findall(r"^(\S.*)\n-{3,}\n((?s:.*?))(?=^\S.*\n-{3,}\n|\Z)", told, re.MULTILINE))


@pytest.mark.parametrize(
    ("contract", "said"),
    [(contract, said) for contract, _, _, said in OFFENCES],
    ids=lambda value: str(value).replace(" ", "_"),
)
def test_wall_stops_an_offender(broken: dict[str, str], contract: str, said: str) -> None:
    """One import too many breaks the contract that forbids it, and the report names that import."""
    assert said in broken[contract]


def test_every_wall_is_tried() -> None:
    """There is no contract that has not been seen to fail."""
    assert {contract for contract, *_ in OFFENCES} == {contract["name"] for contract in CONTRACTS}
