"""Presses and posts become the same rows, in whatever order and however often they come."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.clicks.store import Clicks
from shared import ids
from shared.database import Database
from shared.events import ButtonClicked, ClickAnnotated, ClickSource, PromoPosted

Press = Callable[..., ButtonClicked]
Post = Callable[..., PromoPosted]
Note = Callable[..., ClickAnnotated]

DELIVERIES = [ids.derived("delivery", number) for number in range(3)]


async def promo_of(database: Database, press: ButtonClicked) -> str:
    """Return the promo that a press is stored under."""
    row = await database.row(text("SELECT promo_id FROM marketing_clicks WHERE id = :id"), id=press.id)
    assert row is not None
    return str(row["promo_id"])


async def test_a_press_keeps_all_that_it_says(clicks: Clicks, database: Database, press: Press) -> None:
    """A press is one row, with 64-bit ids, its metadata and its time."""
    said = press(1, cta_text="Get “it”", metadata={"conversion": "completed", "n": [1, None]})
    await clicks.add_presses([said])
    row = await database.row(text("SELECT * FROM marketing_clicks"))
    assert row is not None
    assert row["id"] == said.id
    assert row["user_id"] == said.user_id
    assert (row["chat_id"], row["message_id"]) == (-1001234567890123, 2**40)
    assert (row["cta_text"], row["source"], row["bot"]) == ("Get “it”", "button", "default")
    assert row["clicked_at"] == said.at


async def test_a_press_delivered_twice_is_one_row(clicks: Clicks, database: Database, press: Press) -> None:
    """Brokers redeliver: within a batch and across batches the same event is stored and counted once."""
    first, second = press(1), press(2)
    stored = await clicks.add_presses([first, first, second])
    assert [each.presses for each in stored] == [2]
    assert await clicks.add_presses([second, first]) == []
    assert await database.value(text("SELECT count(*) FROM marketing_clicks")) == 2


async def test_a_link_in_a_channel_has_no_user(clicks: Clicks, database: Database, press: Press) -> None:
    """What Telegram does not tell is null."""
    said = press(1, person=None, chat_id=None, message_id=None, source=ClickSource.REDIRECT)
    await clicks.add_presses([said])
    assert await database.value(text("SELECT user_id FROM marketing_clicks")) is None


async def test_links_that_pass_by_the_gateway(
    clicks: Clicks, database: Database, press: Press, post: Post
) -> None:
    """A redirect names its promo, before the post is known too; a campaign's has none and is in no sum."""
    link = press(1, payload="bonus", delivery_id=DELIVERIES[0], source=ClickSource.REDIRECT, person=None)
    letter = press(2, payload="", source=ClickSource.REDIRECT, person=None, metadata={"campaign_id": "c"})
    await clicks.add_presses([link, letter])
    assert await promo_of(database, link) == "bonus"
    await clicks.add_posts([post("bonus", None, DELIVERIES[0])])
    assert await promo_of(database, link) == "bonus"
    assert [(each.promo_id, each.clicks, each.posts) for each in await clicks.sums(None)] == [("bonus", 1, 1)]
    (_, found) = await clicks.newest(user_ids=(), promo_id=None, since=None, until=None, before=None, limit=9)
    of_campaign = await clicks.one(letter.id)
    assert of_campaign is not None
    assert (of_campaign.promo_id, of_campaign.metadata) == (None, {"campaign_id": "c"})
    assert found.source is ClickSource.REDIRECT


async def test_a_press_belongs_to_the_promo_of_its_delivery(
    clicks: Clicks, database: Database, press: Press, post: Post
) -> None:
    """The delivery decides, also when its payload belongs to another promo by now."""
    await clicks.add_posts(
        [post("old", "premium", DELIVERIES[0], 0), post("new", "premium", DELIVERIES[1], 10)]
    )
    said = press(1, 20, delivery_id=DELIVERIES[0])
    await clicks.add_presses([said])
    assert await promo_of(database, said) == "old"


async def test_a_delivery_of_another_payload_is_not_believed(
    clicks: Clicks, database: Database, press: Press, post: Post
) -> None:
    """A forged callback cannot put its press under a promo that its payload is not of."""
    await clicks.add_posts([post("vip_support", "vip", DELIVERIES[0], 0)])
    said = press(1, 20, delivery_id=DELIVERIES[0])
    await clicks.add_presses([said])
    assert await promo_of(database, said) == "premium"


async def test_a_press_without_delivery_belongs_to_the_post_before_it(
    clicks: Clicks, database: Database, press: Press, post: Post
) -> None:
    """A payload that moved to another promo keeps its old presses where they were."""
    early, late = press(1, 5), press(2, 15)
    await clicks.add_presses([early, late])
    await clicks.add_posts([post("new", "premium", DELIVERIES[1], 10)])
    await clicks.add_posts([post("old", "premium", DELIVERIES[0], 0)])
    assert (await promo_of(database, early), await promo_of(database, late)) == ("old", "new")


async def test_only_posted_promos_are_known(clicks: Clicks, press: Press, post: Post) -> None:
    """What a press says is a user's word; only a promo that was posted may become a metric's label."""
    await clicks.add_posts([post("premium_signals", "premium", DELIVERIES[0])])
    stored = await clicks.add_presses([press(1, 1), press(2, 1, payload="made-up"), press(3, 2)])
    known = {each.promo_id: (each.posted, each.presses) for each in stored}
    assert known == {"premium_signals": (True, 2), "made-up": (False, 1)}


async def test_what_the_database_refuses_is_an_error(clicks: Clicks, press: Press) -> None:
    """A press that cannot be stored is never passed over in silence."""
    with pytest.raises(Exception, match=r"out of .*range|int64"):
        await clicks.add_presses([press(1, chat_id=2**63)])


async def test_a_post_waits_for_presses_that_it_cannot_see_yet(
    clicks: Clicks, database: Database, press: Press, post: Post
) -> None:
    """A press that is stored while another replica stores its post does not stay uncorrected."""
    presses = sorted((press(n, 5, delivery_id=DELIVERIES[0]) for n in range(2)), key=lambda each: each.id)
    hold = text("""
        INSERT INTO marketing_clicks (id, promo_id, source, clicked_at, bot, payload)
        VALUES (:id, 'x', 'button', now(), 'default', 'x')""")
    async with database.begin() as other:
        await other.execute(hold, {"id": presses[1].id})
        storing = asyncio.create_task(clicks.add_presses(presses))
        await until_blocked(database, 1)
        correcting = asyncio.create_task(clicks.add_posts([post("one", "premium", DELIVERIES[0])]))
        await until_blocked(database, 2)
        await other.rollback()
    await asyncio.gather(storing, correcting)
    assert [await promo_of(database, each) for each in presses] == ["one", "one"]


async def until_blocked(database: Database, statements: int) -> None:
    """Wait until so many statements wait for a lock."""
    blocked = text("""
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'""")
    async with asyncio.timeout(60):
        while await database.value(blocked) < statements:
            await asyncio.sleep(0.01)


async def test_the_same_presses_in_two_replicas_do_not_block_each_other(clicks: Clicks, press: Press) -> None:
    """Two batches with the same presses in other orders end, one of them storing each."""
    presses = [press(n) for n in range(1000)]
    found = await asyncio.gather(*(clicks.add_presses(each) for each in (presses, presses[::-1]) * 4))
    assert sum(stored.presses for each in found for stored in each) == 1000


# --- the law of order -----------------------------------------------------------------------------------

press_words = st.tuples(
    st.sampled_from(["premium", "vip"]), st.none() | st.sampled_from(DELIVERIES), st.integers(0, 6)
)
post_words = st.tuples(
    st.sampled_from(["one", "two"]), st.sampled_from(["premium", "vip", None]), st.integers(0, 6)
)

note_words = st.tuples(
    st.integers(0, 4), st.integers(0, 3),
    st.dictionaries(st.sampled_from(["a", "b"]), st.none() | st.integers(0, 9), min_size=1),
)  # fmt: skip


def expected_promo(said: ButtonClicked, posts: Sequence[PromoPosted]) -> str:
    """Say what the rule says, in Python."""
    refs = [(each.at, each.id, each.delivery_id, each.promo) for each in posts if each.promo is not None]
    for _, _, delivery_id, promo in sorted(refs, key=lambda ref: ref[:2]):
        if delivery_id == said.delivery_id and promo.payload in (None, said.payload):
            return promo.promo_id
    same = sorted((ref for ref in refs if ref[3].payload == said.payload), key=lambda ref: ref[:2])
    before = [ref for ref in same if ref[0] <= said.at]
    chosen = before[-1:] or same[:1]
    return chosen[0][3].promo_id if chosen else said.payload


def expected_metadata(said: ButtonClicked, notes: Sequence[ClickAnnotated]) -> object:
    """Say what the rule of annotations says, in Python."""
    merged = dict(said.metadata or {})
    for each in sorted(notes, key=lambda each: (each.at, each.id)):
        if each.click_id == said.id:
            merged |= each.metadata
    return merged or said.metadata


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    pressed=st.lists(press_words, min_size=1, max_size=5),
    posted=st.lists(post_words, max_size=3),
    noted=st.lists(note_words, max_size=4, unique_by=lambda words: words[:2]),
    drawn=st.data(),
)
async def test_order_and_repetition_do_not_matter(
    clicks: Clicks, database: Database, press: Press, post: Post, note: Note,
    pressed: list[tuple[str, UUID | None, int]], posted: list[tuple[str, str | None, int]],
    noted: list[tuple[int, int, dict[str, object]]], drawn: st.DataObject,
) -> None:  # fmt: skip
    """Any order, any batches and any repetition of the same events end in the rows that the rule says."""
    await database.execute(text("TRUNCATE marketing_clicks, posts, click_annotations"))
    presses = [
        press(n, minute, payload=payload, delivery_id=delivery, metadata={"a": -1} if n % 2 else None)
        for n, (payload, delivery, minute) in enumerate(pressed)
    ]
    notes = [note(n, minute, **metadata) for n, minute, metadata in noted]
    posts = [post(promo, payload, DELIVERIES[n], minute) for n, (promo, payload, minute) in enumerate(posted)]
    stream: list[ButtonClicked | PromoPosted | ClickAnnotated] = drawn.draw(
        st.permutations([*presses, *posts, *notes, *presses, *posts, *notes])
    )
    while stream:
        size = drawn.draw(st.integers(1, len(stream)))
        batch, stream = stream[:size], stream[size:]
        await clicks.add_presses([each for each in batch if isinstance(each, ButtonClicked)])
        await clicks.add_posts([each for each in batch if isinstance(each, PromoPosted)])
        await clicks.add_annotations([each for each in batch if isinstance(each, ClickAnnotated)])
    rows = await database.rows(text("SELECT id, promo_id, metadata FROM marketing_clicks"))
    assert {row["id"]: (row["promo_id"], row["metadata"]) for row in rows} == {
        each.id: (expected_promo(each, posts), expected_metadata(each, notes)) for each in presses
    }
    assert await database.value(text("SELECT count(*) FROM posts")) == len(posts)
