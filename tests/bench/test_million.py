"""A campaign's list at scale: what the figure measures is kept to, on a smaller list."""

import pytest

from bench import million
from bench.crowds import campaign
from bench.street import stack
from services.senders.store import Campaigns
from shared.database import Database

pytestmark = pytest.mark.slow


async def test_a_long_list_needs_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing, showing and expanding a list of 50,000 takes no service more than 50 MB above its rest."""
    monkeypatch.setattr(million, "COUNT", 50_000)
    figure = await million.measure(1)
    kept = {target.what: target.is_met for target in figure.targets if target.what.startswith("MB")}
    assert kept == {"MB above rest in gateway": True, "MB above rest in senders": True}


async def test_a_list_that_figures_are_taken_with_is_whole() -> None:
    """A campaign that a figure writes down itself has the sum of its list, as any other has."""
    async with stack("senders", settings={"PROMO_CHAT_IDS": "[]"}) as opened:
        campaign_id = await campaign(opened, 1_000_000, 50)
        async with Database.open(opened.system.database_url("senders")) as database:
            assert await Campaigns(database).is_list_whole(campaign_id)
