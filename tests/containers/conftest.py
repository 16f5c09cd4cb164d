"""The system in containers, once for all tests of this folder, and somebody who plays the world around it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from types import FrameType
from typing import Any

import aiohttp
import pytest

from carillon.system import System
from devstack.stage import BOT_USERNAME, CHATS
from tests.containers import engine
from tests.containers.engine import Composed
from tests.journeys.conftest import World


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Carillon, built and up with the simulators; everything but the images is gone afterwards."""
    if not engine.answers():
        pytest.exit("no Docker engine answers (docker info): the containers cannot be tried here", 2)
    # An end by SIGTERM is an ordered one too: nothing is left behind.
    signal.signal(signal.SIGTERM, _interrupt)
    system = Composed.make(tmp_path_factory.mktemp("composed"))
    try:
        system.compose("build", seconds=engine.BUILD_SECONDS)
        system.up()
        yield system
    finally:
        system.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Containers:
    """What a World needs of a running system."""

    def __init__(self, composed: Composed, owner_key: str) -> None:
        self.composed = composed
        settings = composed.settings
        gateway = f"http://127.0.0.1:{settings['GATEWAY_PORT']}"
        self.system = System(
            gateway_url=gateway,
            owner_key=owner_key,
            telegram_control_url=f"http://127.0.0.1:{settings['SIMULATED_TELEGRAM_PORT']}",
            smtp_control_url=f"http://127.0.0.1:{settings['SIMULATED_MAIL_PORT']}",
            push_control_url=f"http://127.0.0.1:{settings['SIMULATED_PUSH_PORT']}",
            webhook_url=f"{gateway}/telegram/default/webhook",
            webhook_secret=settings["TELEGRAM_WEBHOOK_SECRET"],
            bot_token=settings["TELEGRAM_BOT_TOKEN"],
            bot_username=BOT_USERNAME,
            chat_ids=list(CHATS),
        )

    def logs(self) -> str:
        """Return everything that the containers have logged."""
        return self.composed.compose("logs", "--no-color")


class ContainerWorld(World):
    """Plays the world around containers, whose databases are asked from within."""

    @property
    def composed(self) -> Composed:
        """The containers."""
        return self.running.composed

    async def rows(self, service: str, question: str, *values: Any) -> Any:
        """Ask a service's database for one value; whole numbers are numbers."""
        assert not values
        found = await asyncio.to_thread(self.composed.ask, service, question)
        return int(found) if found.isdecimal() else found

    async def healthy(self, service: str, seconds: float = 60.0) -> None:
        """Wait until the engine finds a service's container healthy."""
        await self.becomes("healthy", service, seconds)

    async def becomes(self, health: str, service: str, seconds: float = 60.0) -> None:
        """Wait until the engine says this of a container."""

        async def said() -> bool:
            return await asyncio.to_thread(self.composed.health, service) == health

        await self.until(said, seconds)


@pytest.fixture(scope="session")
def containers(composed: Composed) -> Containers:
    """The running system, with an owner's key made by the command line."""
    return Containers(composed, composed.carillon("keys", "create", "tests", "--role", "owner")["key"])


@pytest.fixture
async def world(containers: Containers) -> AsyncIterator[ContainerWorld]:
    """Somebody who plays the world around the containers."""
    async with aiohttp.ClientSession() as session:
        yield ContainerWorld(containers, session)
