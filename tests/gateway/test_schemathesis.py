"""The API keeps to its own document, whatever it is asked."""

import asyncio
from typing import Any

import pytest

from services.gateway.domain.roles import KeyRole

OWN = tuple(f"/api/v1/{name}" for name in ("broadcasts", "guides", "dead-letters", "messages"))


@pytest.mark.slow
async def test_the_api_keeps_to_its_document(gateway: Any) -> None:
    """Every answer, to what is allowed and to what is not, is one that the document tells of; none is 500.

    It asks what the gateway answers by itself; tests/journeys asks a whole stack for everything.
    """
    from tests.fuzzing import failures_of  # noqa: PLC0415 - importing Schemathesis takes seconds

    key = gateway.keys[KeyRole.OWNER]
    wrong = await asyncio.to_thread(failures_of, gateway.url, key, 2, below=OWN, others_away=True)
    assert not wrong, "\n".join(wrong)
