"""What trimmed events have left: shaped as the tables, backed up with them, without who is forgotten."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from carillon.rebuild import PROJECTING
from carillon.system import SERVICES
from services.gateway.store import UpdateLog
from services.gateway.store.copies import COPIES
from shared.database import Database
from shared.events import ButtonClicked, RecipientForgotten
from shared.ids import derived, user_of_telegram
from shared.migrations import migrate
from shared.record import dumping
from shared.record.erasing import Somebody, erase, erase_notes
from shared.record.rebuilding import rebuild
from shared.record.reconciling import reconcile
from shared.record.shadow import Shadow
from tests.conftest import FreshDatabase
from tests.shared.record.conftest import NOW
from tests.shared.record.test_trimming import note, some
from tests.shared.record.world import World, update

Press = Callable[[int], ButtonClicked]


async def words_in(world: World, schema: str, *words: str) -> set[tuple[str, str]]:
    """Return which words are anywhere in a schema of the services' databases, and in which table."""
    found = set()
    for service in SERVICES:
        async with world.connect(service) as connection:
            tables = await connection.fetch(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = $1", schema
            )
            for (table,) in tables:
                rows = await connection.fetch(f"SELECT row_to_json(t)::text FROM {schema}.{table} AS t")  # noqa: S608 - names of tables
                found |= {(table, word) for (row,) in rows for word in words if word in row}
    return found


@pytest.mark.parametrize("service", PROJECTING)
async def test_a_copy_is_of_the_shape_of_its_projection(service: str, fresh_database: FreshDatabase) -> None:
    """Whoever changes a projection changes its copy: columns, types, defaults and indexes are the same."""
    shape = """
        SELECT array_agg((column_name, data_type, is_nullable, column_default)::text ORDER BY column_name),
               (SELECT array_agg(regexp_replace(indexdef, '^.* USING ', '') ORDER BY 1) FROM (
                    SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename = $2 ORDER BY
                    regexp_replace(indexdef, '^.* USING ', '')) AS each)
        FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2"""
    url = await fresh_database(service)
    async with Database.open(url) as database:
        tables = PROJECTING[service](database).tables
    connection = await asyncpg.connect(url)
    for table in tables:
        ours, copy = [tuple(await connection.fetchrow(shape, each, table)) for each in ("public", "trimmed")]
        assert ours == copy, table
        assert ours[0], table
    await connection.close()


async def test_who_is_forgotten_is_not_in_what_is_left(world: World, press: Press) -> None:
    """Rows of trimmed events are nobody's too, and notes on trimmed presses go from the stream."""
    ada, user_id = press(1), user_of_telegram(1001)
    words = ("Words 1", "Ada", str(user_id), '"telegram_id":1001', '"chat_id":1001')
    await world.tell(ada, press(2), *update(1, NOW))
    await world.catch_up()
    await world.trim()
    assert {word for _, word in await words_in(world, "trimmed", *words)} == set(words)
    await world.tell(note(ada), press(3))
    await world.catch_up()

    noted = await erase_notes(world.bus, {ada.id})
    await world.tell(
        RecipientForgotten(
            id=derived("forgotten", user_id), at=NOW + timedelta(hours=1), user_id=user_id, version=2
        )
    )
    await world.catch_up()
    await erase(world.bus, Somebody(frozenset({user_id})))

    assert (noted, await erase_notes(world.bus, {ada.id})) == (1, 0)
    expected = {("forgotten_users", str(user_id))}
    assert (await words_in(world, "trimmed", *words), await words_in(world, "public", *words)) == (
        expected, expected,
    )  # fmt: skip
    cut = await world.bus.streams.cut()
    left = [each.payload async for each in world.bus.streams.read("CLICKS", "clicks.>", up_to=cut["CLICKS"])]
    assert not any(b"1001" in payload or b'"name":"Ada"' in payload for payload in left)
    assert await world.is_whole()
    await world.catch_up()
    await world.trim()
    assert await world.is_whole()
    assert await words_in(world, "trimmed", *words) == expected


@pytest.mark.slow
async def test_what_was_done_comes_behind_the_update_again(world: World) -> None:
    """Updates that are told anew, without a person or because they were lost, stay handled over any cut."""
    await world.tell(*update(1, NOW), *update(2, NOW))
    await world.catch_up()
    user_id = user_of_telegram(1001)
    await world.tell(
        RecipientForgotten(id=derived("f", user_id), at=NOW + timedelta(1), user_id=user_id, version=2)
    )
    await world.catch_up()

    await erase(world.bus, Somebody(frozenset({user_id})))
    await world.bus.streams.erase("UPDATES", 3)
    async with Database.open(world.system.database_urls["gateway"]) as database:
        await reconcile("gateway", database, world.bus, COPIES, dry_run=False)
    await world.catch_up()

    assert (await world.bus.streams.cut())["UPDATES"] == 8
    assert await world.is_whole()
    await world.trim(piece=1)
    assert await world.is_whole()


@pytest.mark.slow
async def test_an_update_that_alone_was_stored_anew_stays_handled(world: World) -> None:
    """Whoever tells an update anew and dies before what was done with it leaves nothing for ever amiss."""
    received, handled = update(1, NOW)
    await world.tell(received, handled)
    await world.bus.publish(received, again="after a loss")
    await world.bus.streams.erase("UPDATES", 1)
    await world.catch_up()

    await world.trim(piece=1)
    assert await world.is_whole()
    await world.trim(piece=1)
    assert await world.is_whole()
    assert await world.bus.streams.count("UPDATES") == 0


async def test_a_rebuild_begins_with_what_is_left_at_one_moment(world: World, press: Press) -> None:
    """What is written down while the tables are copied is in all of the copies or in none."""
    await world.tell(press(1))
    await world.catch_up()
    await world.trim()
    told = note(press(1))
    await world.tell(told)
    await world.catch_up()
    url = world.system.database_urls["clicks"]
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::regclass"
    async with world.connect("clicks") as keeping, world.connect("clicks") as watching:
        async with keeping.transaction():
            await keeping.execute("LOCK TABLE trimmed.click_annotations IN ACCESS EXCLUSIVE MODE")
            rebuilding = asyncio.create_task(rebuild(url, world.bus.streams, PROJECTING["clicks"]))
            async with asyncio.timeout(60):
                while not await watching.fetchval(waiting, "trimmed.click_annotations"):
                    await asyncio.sleep(0.02)
            await keeping.execute(
                "INSERT INTO trimmed.click_annotations SELECT * FROM public.click_annotations"
            )
            await keeping.execute(
                "UPDATE trimmed.marketing_clicks SET metadata = public.metadata"
                " FROM public.marketing_clicks AS public"
            )
        rebuilt = await rebuilding

    assert rebuilt.same, rebuilt.compared


async def test_what_is_left_can_be_looked_up_while_tables_are_fed(world: World, press: Press) -> None:
    """Posts find the presses that are trimmed by indexes; in the end nothing is missing."""
    await world.tell(press(1))
    await world.catch_up()
    await world.trim()
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'marketing_clicks' AND schemaname = $1"
    table = "marketing_clicks"
    async with world.connect("clicks") as connection, Database.open("postgresql://nowhere/none") as none:
        made = PROJECTING["clicks"](none)
        shadow = Shadow(connection, made.tables, filled={table: made.feeds[1].looked_up})

        async def there(schema: str) -> set[str]:
            return {name for (name,) in await connection.fetch(indexes, schema)}

        await shadow.create()
        before = await there("rebuilt")
        await shadow.begin_with_trimmed()
        meanwhile = await there("rebuilt")
        await shadow.make_indexes(table)
        full, old = await there("rebuilt"), await there("public")

    assert before == set()
    assert meanwhile == {f"{table}_pkey", f"{table}_payload", f"{table}_delivery"}
    assert full == old


async def test_texts_of_trimmed_updates_are_forgotten_in_time(world: World) -> None:
    """What people wrote goes from the log, and then from what is left of its stream."""
    await world.tell(*update(1, NOW), *update(2, NOW + timedelta(days=2)))
    await world.catch_up()
    await world.trim()
    async with Database.open(world.system.database_urls["gateway"]) as database:
        log = UpdateLog(database)
        gone = [await log.purge_texts(NOW + timedelta(days=1)) for _ in range(3)]

    assert gone == [1, 1, 0]
    assert await words_in(world, "trimmed", "Words 1", "Words 2") == {("telegram_webhooks", "Words 2")}
    assert await world.is_whole()


@pytest.mark.slow
async def test_a_backup_brings_back_what_is_left(
    world: World, press: Press, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """Dumped and loaded, what trimmed events have left is as good as before; it counts as rows."""
    await some(world, press, 0)
    await world.catch_up()
    await world.trim()
    await some(world, press, 5)
    await world.catch_up()
    restored = World(world.bus, world.system.model_copy(update={"database_urls": {}}))
    for service, url in world.system.database_urls.items():
        await dumping.dump(url, tmp_path / service)
        other = await fresh_database(service)
        await dumping.empty(other)
        await asyncio.to_thread(migrate, service, other, dumping.revision_of(tmp_path / service))
        await dumping.load(other, tmp_path / service)
        restored.system.database_urls[service] = other

    assert await restored.is_whole()
    await restored.trim()
    assert await restored.is_whole()
    with pytest.raises(dumping.HoldsRows):
        await dumping.empty(restored.system.database_urls["clicks"])
