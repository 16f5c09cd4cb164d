"""A process that mends what clicks knows, and dies at a failpoint: for the tests that another goes on."""

import asyncio
import sys
from typing import cast

from services.clicks import handlers
from services.clicks.store.copies import COPIES
from shared import failpoints
from shared.bus import Bus
from shared.database import Database
from shared.ids import user_of_telegram
from shared.record.erasing import Somebody, erase
from shared.record.rebuilding import rebuild
from shared.record.reconciling import reconcile


async def main(broker: str, url: str, point: str, telegram_id: int) -> None:
    """Do what the failpoint's first word says."""
    failpoints.arm(cast("failpoints.MendFailpoint", point))
    async with Bus.open(broker, service="mender") as bus:
        if point.startswith("rebuild"):
            await rebuild(url, bus.streams, handlers.projecting)
        elif point.startswith("forget"):
            await erase(bus, Somebody(frozenset({user_of_telegram(telegram_id)})))
        else:
            async with Database.open(url) as database:
                await reconcile("clicks", database, bus, COPIES, dry_run=False)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
