"""`carillon forget`: whoever is forgotten is in no stream and in no table any more, whatever is trimmed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from carillon.forget import _forget
from carillon.rebuild import PROJECTING
from services.clicks import api as clicks_api
from services.clicks.store import Clicks
from services.senders import api as senders_api
from services.senders.handlers import versions
from services.senders.store import Recipients
from shared.bus import answering
from shared.database import Database
from shared.events import ButtonClicked
from shared.ids import user_of_telegram
from shared.queries import ForgetRecipient, Forgotten, GetRecipient, LinkUser, ListClicks, PutRecipient
from shared.record.rebuilding import rebuild
from tests.shared.record.conftest import NOW
from tests.shared.record.test_trimming import note
from tests.shared.record.world import CHAT, World

Press = Callable[[int], ButtonClicked]


@asynccontextmanager
async def answered(world: World) -> AsyncIterator[Recipients]:
    """Answer as clicks and senders would; who is told of is known everywhere before the answer."""
    urls = world.system.database_urls
    async with Database.open(urls["clicks"]) as of_clicks, Database.open(urls["senders"]) as of_senders:
        clicks, recipients = Clicks(of_clicks), Recipients(of_senders)

        async def announce() -> None:
            for row in await recipients.untold_forgotten():
                await world.tell(versions.recipient_forgotten(row))
            await world.catch_up()

        async def forget(command: ForgetRecipient) -> Forgotten:
            return await senders_api.forget_recipient(command, recipients, announce)

        async with world.bus.answer(
            answering(ListClicks, lambda query: clicks_api.list_clicks(query, clicks)),
            answering(GetRecipient, lambda query: senders_api.get_recipient(query, recipients)),
            answering(ForgetRecipient, forget),
        ):
            yield recipients


async def test_notes_on_presses_that_are_trimmed_are_forgotten(world: World, press: Press) -> None:
    """A note that came after its press was trimmed goes too, also when the person is linked."""
    user_id, person = uuid4(), user_of_telegram(1003)
    await world.tell(press(3))
    await world.catch_up()
    await world.trim()
    await world.tell(note(press(3)))
    await world.catch_up()

    async with answered(world) as recipients:
        await recipients.put(PutRecipient(cause=uuid4(), user_id=user_id, email="ada@example.org"))
        await recipients.link(LinkUser(cause=uuid4(), user_id=user_id, telegram_id=1003))
        done = await _forget(world.system, user_id, set(), 5)

    assert {*done.user_ids} >= {user_id, person}
    cut = await world.bus.streams.cut()
    told = [each.payload async for each in world.bus.streams.read("CLICKS", "clicks.>", up_to=cut["CLICKS"])]
    assert len(told) == 1
    assert b"Ada" not in told[0]
    rebuilt = await rebuild(world.system.database_urls["clicks"], world.bus.streams, PROJECTING["clicks"])
    assert rebuilt.same, rebuilt.compared
    async with world.connect("clicks") as clicks:
        notes = """SELECT metadata::text FROM click_annotations
                   UNION SELECT metadata::text FROM marketing_clicks"""
        assert [row["metadata"] for row in await clicks.fetch(notes)] == ['{"conversion": "completed"}']


async def test_a_private_chat_that_promos_went_to_is_forgotten(world: World) -> None:
    """Ledger and clicks keep the posts, trimmed ones too, in nobody's chat; all is as whole as before."""
    ada = 1003
    await world.post(NOW - timedelta(hours=9), "vip", ada)
    await world.post(NOW - timedelta(hours=5), "vip")
    await world.catch_up()
    await world.trim()
    await world.post(NOW - timedelta(hours=1), "vip", ada)
    await world.catch_up()

    async with answered(world) as recipients:
        person = user_of_telegram(ada)
        await recipients.put(PutRecipient(cause=uuid4(), user_id=person, telegram_chat_id=ada, bot="default"))
        await _forget(world.system, person, set(), 5)
        while await recipients.sweep(uuid4()):
            pass

    async with world.connect("clicks") as clicks, world.connect("senders") as senders:
        posts = [
            [row["chat_id"] for row in await clicks.fetch(f"SELECT chat_id FROM {table} ORDER BY posted_at")]  # noqa: S608 - a constant
            for table in ("posts", "trimmed.posts")
        ]
        kept = await senders.fetchval("SELECT string_agg(request::text, ' ') FROM messages")
    assert posts == [[None, CHAT, None], [None, CHAT]]
    assert str(ada) not in kept
    await world.catch_up()
    assert await world.is_whole()
