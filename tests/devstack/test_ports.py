"""Ports that are chosen before they are listened on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devstack import servers

ROOT = Path(__file__).parents[2]
LOWEST_OF_THE_SYSTEM = 10_400
OTHER = """
import json, sys
from pathlib import Path
from devstack import servers

servers._PORTS = Path(sys.argv[1])
print(json.dumps([servers.free_port() for _ in range(100)]))
"""


def test_a_port_is_chosen_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes never choose the same port, though nobody listens on any of them yet."""
    range_of_the_system = tmp_path / "range"
    range_of_the_system.write_text(f"{LOWEST_OF_THE_SYSTEM} 60999")
    monkeypatch.setattr(servers, "_PORTS", range_of_the_system)

    ours = [servers.free_port() for _ in range(100)]
    asked = subprocess.run(
        [sys.executable, "-c", OTHER, str(range_of_the_system)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    theirs = json.loads(asked.stdout)

    assert len({*ours, *theirs}) == 200
