"""Servers end with whoever started them, whatever this machine has to bind them by."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.servers import bound_to_parent
from tests.servers import lives

ROOT = Path(__file__).parents[2]
PARENT = """
import asyncio, signal, sys
from devstack.servers import bound_to_parent, spawn

async def main():
    child = await spawn(signal.SIGTERM, sys.executable, "-c", "import time; time.sleep(60)")
    print(bool(bound_to_parent(signal.SIGTERM)), child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("path", [os.environ["PATH"], ""], ids=["setpriv", "nothing"])
async def test_a_child_dies_with_its_parent(path: str) -> None:
    """It gets its signal when its parent is killed, with setpriv (where it is) and without."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert parent.stdout is not None
        by_setpriv, pid = (await parent.stdout.readline()).split()
        assert lives(int(pid))
    finally:
        parent.kill()
        await parent.communicate()

    assert path or by_setpriv == b"False"
    async with asyncio.timeout(60):
        while lives(int(pid)):
            await asyncio.sleep(0.02)


def test_an_orphan_is_not_begun(tmp_path: Path) -> None:
    """What finds its parent gone at its start would outlive it unseen: no signal comes any more."""
    bound = bound_to_parent(signal.SIGTERM)
    if not bound:
        pytest.skip("setpriv is not there, or cannot do it")
    begun, orphaned = tmp_path / "begun", tmp_path / "orphaned"

    subprocess.run([*bound, "touch", str(begun)], check=True)
    subprocess.run(["/bin/sh", "-c", '"$@"; true', "sh", *bound, "touch", str(orphaned)], check=True)

    assert begun.exists()
    assert not orphaned.exists()
