"""The API of a whole stack keeps to its own document, whatever it is asked."""

import asyncio
from pathlib import Path

import pytest

from tests.journeys.conftest import start, stop


@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_the_api_keeps_to_its_document(tmp_path: Path) -> None:
    """Every answer of every service is one that the document tells of, and none is 500."""
    from tests.fuzzing import failures_of  # noqa: PLC0415 - importing Schemathesis takes seconds

    running = start(tmp_path / "stack", API_PER_SECOND="0")
    try:
        url, key = running.system.gateway_url, running.system.owner_key
        assert url is not None
        assert key is not None
        wrong = await asyncio.to_thread(failures_of, url, key, 20)
        assert not wrong, "\n".join(wrong)
    finally:
        stop(running)
