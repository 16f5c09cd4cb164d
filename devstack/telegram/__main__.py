"""`python -m devstack.telegram`: a simulated Telegram by itself, until it is interrupted."""

import argparse
import asyncio
import sys
from contextlib import suppress

from devstack.telegram import Telegram


async def serve(port: int, control_port: int) -> None:
    """Run a simulator on these ports, say where it is, and wait."""
    async with Telegram.open(port=port, control_port=control_port) as telegram:
        sys.stdout.write(f"Bot API  {telegram.api_url}\nControl  {telegram.control_url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Read the ports from the command line and serve."""
    parser = argparse.ArgumentParser(prog="devstack.telegram", description=__doc__)
    parser.add_argument("--port", type=int, default=8081, help="port of the Bot API")
    parser.add_argument("--control-port", type=int, default=8082, help="port of the control API")
    chosen = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(chosen.port, chosen.control_port))


if __name__ == "__main__":
    main()
