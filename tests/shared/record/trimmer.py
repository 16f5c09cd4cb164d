"""A process that trims, and dies where it is told to."""

import asyncio
import sys
from pathlib import Path
from typing import cast

from carillon.system import System
from shared import failpoints
from tests.shared.record.world import World


async def main() -> None:
    """Trim everything."""
    system = System.read(Path(sys.argv[1]), "the test")
    async with system.bus() as bus:
        await World(bus, system).trim()


failpoints.arm(cast("failpoints.TrimFailpoint", sys.argv[2]))
asyncio.run(main())
