"""A trim that dies anywhere, and what it leaves: nothing is missed, and trimming again goes on from there."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from shared.events import ButtonClicked
from shared.failpoints import TrimFailpoint
from tests.shared.record.test_trimming import some
from tests.shared.record.world import World

Press = Callable[[int], ButtonClicked]
GONE: dict[str, int] = {"between_purges": 1, "after_purge": 12}
"""Of twelve events, how many are gone by then, at least."""


async def die(world: World, folder: Path, place: str) -> int:
    """Trim in a process of its own that dies at a place; return how it ended."""
    file = folder / "system.json"
    file.write_text(world.system.model_dump_json())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.shared.record.trimmer", str(file), place
    )
    return await asyncio.wait_for(process.wait(), 60)


@pytest.mark.slow
async def test_a_death_loses_nothing(world: World, press: Press, tmp_path: Path) -> None:
    """Kill -9 before, between and behind each step: books balance, tables are rebuilt, none comes twice."""
    for turn, place in enumerate(get_args(TrimFailpoint)):
        await some(world, press, 5 * turn)
        await world.catch_up()
        before = sum((await world.bus.streams.cut()).values())
        held = sum([await world.bus.streams.count(name) for name in await world.bus.streams.cut()])

        assert await die(world, tmp_path, place) == -9

        left = sum([await world.bus.streams.count(name) for name in await world.bus.streams.cut()])
        assert held - left >= GONE.get(place, 0), place
        assert place in GONE or left == held, place
        assert await world.is_whole(), place
        if turn % 2:
            # What the next one finds is half done in one case, and done in the other.
            await world.trim()
            assert await world.is_whole(), place
        assert sum((await world.bus.streams.cut()).values()) == before
    await world.trim()
    assert [await world.bus.streams.count(name) for name in ("CLICKS", "OUTCOMES", "UPDATES")] == [0, 0, 0]
    assert await world.is_whole()
