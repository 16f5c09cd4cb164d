"""The demo tells the truth: it succeeds when all is right, and fails when something is made to be wrong."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.journeys.conftest import environment

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(300)]


def _demo(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "carillon", "demo", "--json", *arguments],
        capture_output=True, text=True, timeout=140, env=environment(), check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_story_comes_true() -> None:
    """Every number of the story is right: nothing lost, nothing doubled, the books balance."""
    code, numbers = _demo()
    assert code == 0, numbers
    assert {name: numbers[name] for name in ("promos_posted", "promos_failed", "clicks", "fallbacks")} == {
        "promos_posted": 2, "promos_failed": 1, "clicks": 2, "fallbacks": 1,
    }  # fmt: skip
    assert (numbers["dead_letters_before"], numbers["dead_letters_after"]) == (1, 0)
    assert (numbers["lost"], numbers["duplicated"], numbers["audit"]) == (0, 0, "balanced")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "wrong"),
    [("send-twice", "duplicated"), ("drop-row", "audit"), ("lose-replies", "promos_failed")],
)
def test_a_fault_is_seen(fault: str, wrong: str) -> None:
    """A demo that cannot fail shows nothing: each fault makes its number wrong, and the exit code says so."""
    code, numbers = _demo("--break", fault)
    assert code == 1
    assert wrong in numbers["wrong"]
