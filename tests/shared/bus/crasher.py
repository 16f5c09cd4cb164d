"""A process that consumes, and dies of poison: for the test that only poison is to blame."""

import asyncio
import os
import sys
from pathlib import Path

from shared.bus import Bus, Receipt, on
from shared.database import Attempts, Database
from shared.events import ButtonClicked


async def main(broker: str, database_url: str, file: Path) -> None:
    """Append what is handled to a file; die at once of the payload `poison`."""

    async def handle(event: ButtonClicked, _receipt: Receipt) -> None:
        await asyncio.sleep(0.02)
        if event.payload == "poison":
            os._exit(137)
        with file.open("a") as seen:
            seen.write(f"{event.id}\n")

    async with (
        Database.open(database_url) as database,
        Bus.open(broker, service="crasher") as bus,
        bus.consume("senders_presses", on(ButtonClicked, handle), attempts=Attempts(database)),
    ):
        await asyncio.sleep(60)


asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
