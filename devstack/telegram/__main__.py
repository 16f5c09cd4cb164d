"""`python -m devstack.telegram`: a simulated Telegram by itself, until it is interrupted."""

import argparse
import asyncio
import signal
import sys

from devstack.telegram import Telegram


async def serve(port: int, control_port: int) -> None:
    """Run a simulator on these ports, say where it is, and wait for a signal to end."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell started it in the background, with SIGINT ignored.
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Telegram.open(port=port, control_port=control_port) as telegram:
        sys.stdout.write(f"Bot API  {telegram.api_url}\nControl  {telegram.control_url}\n")
        sys.stdout.flush()
        await ended.wait()


def main() -> None:
    """Read the ports from the command line and serve."""
    parser = argparse.ArgumentParser(prog="devstack.telegram", description=__doc__)
    parser.add_argument("--port", type=int, default=8081, help="port of the Bot API")
    parser.add_argument("--control-port", type=int, default=8082, help="port of the control API")
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.control_port))


if __name__ == "__main__":
    main()
