"""Whatever happens in whatever order around trims, nothing is missed."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from carillon.reconcile import COPIES
from shared.database import Database
from shared.events import ButtonClicked, RecipientForgotten
from shared.ids import derived, user_of_telegram
from shared.record.ages import Ages
from shared.record.erasing import Somebody, erase, erase_notes
from shared.record.reconciling import reconcile
from shared.topology import DURABLES
from tests.shared.record.conftest import NOW
from tests.shared.record.test_trimming import some
from tests.shared.record.world import ALL_OF_IT, World

Press = Callable[[int], ButtonClicked]
STEPS = 14


async def forget(world: World, press: Press, number: int) -> None:
    """Forget whoever pressed, as the command does."""
    person = user_of_telegram(1000 + number)
    await world.catch_up()
    await erase_notes(world.bus, {press(number).id})
    await world.tell(
        RecipientForgotten(
            id=derived("forgotten", person), at=NOW + timedelta(hours=1), user_id=person, version=2
        )
    )
    await world.catch_up()
    await erase(world.bus, Somebody(frozenset({person})))


async def lose(world: World, stream: str, chance: random.Random) -> None:
    """Take any event from a stream, and have the tables tell it again."""
    await world.catch_up()
    cut = (await world.bus.streams.cut())[stream]
    there = [each.sequence async for each in world.bus.streams.read(stream, ">", up_to=cut)]
    if there:
        await world.bus.streams.erase(stream, chance.choice(there))
    for service, copies in COPIES.items():
        async with Database.open(world.system.database_urls[service]) as database:
            await reconcile(service, database, world.bus, copies, dry_run=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7])
async def test_any_walk_stays_whole(world: World, press: Press, seed: int) -> None:
    """Durables that stand still, losses that are mended, people who are forgotten, and trims between."""
    chance = random.Random(seed)  # noqa: S311 - a walk, not a secret
    names = [each.name for each in DURABLES]
    told = 0
    for _ in range(STEPS):
        step = chance.choice(["some", "some", "some", "trim", "trim", "trim", "forget", "lose"])
        if step == "some":
            await some(world, press, told)
            told += 5
            await world.catch_up(*chance.sample(names, chance.randrange(4)))
        elif step == "trim":
            await world.trim(chance.choice([ALL_OF_IT, Ages(None, 0.0)]), piece=chance.choice([1, 3, 1000]))
        elif step == "forget" and told:
            await forget(world, press, chance.randrange(told))
        elif step == "lose" and told:
            await lose(world, chance.choice(["CLICKS", "UPDATES", "PROMOS"]), chance)
    await world.catch_up()
    assert await world.is_whole()
    await world.trim()
    assert await world.is_whole()
