"""What the tests of the inbox share."""

from collections.abc import AsyncIterator

import aiohttp
import pytest


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session to the control API."""
    async with aiohttp.ClientSession() as session:
        yield session
