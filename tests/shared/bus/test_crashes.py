"""A poisonous event that kills its process, with real processes and a real database."""

import asyncio
import sys
from pathlib import Path

import pytest

from shared.bus import Bus
from tests.conftest import FreshDatabase
from tests.servers import AnyNats
from tests.shared.bus.conftest import click


@pytest.mark.slow
async def test_poison_that_kills_its_process_is_buried_and_no_neighbour_is(
    broker: AnyNats, bus: Bus, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """P27: a crash has one suspect; after three attempts it is a dead letter, and all others are handled."""
    events = [click(number) for number in range(40)]
    poison = click(payload="poison")
    await asyncio.gather(*(bus.publish(event) for event in [*events[:20], poison, *events[20:]]))
    database, file = await fresh_database("clicks"), tmp_path / "seen"
    file.touch()
    script = str(Path(__file__).with_name("crasher.py"))
    letters: list[str] = []
    async with asyncio.timeout(60):
        while not letters or len(set(file.read_text().split())) < len(events):
            process = await asyncio.create_subprocess_exec(
                sys.executable, script, broker.url, database, str(file)
            )
            try:
                while process.returncode is None and not letters:
                    await asyncio.sleep(0.1)
                    letters = [letter.event_key async for letter in bus.dead_letters.all()]
                while letters and len(set(file.read_text().split())) < len(events):
                    await asyncio.sleep(0.1)
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()
    assert letters == [str(poison.id)]
    assert set(file.read_text().split()) == {str(event.id) for event in events}
