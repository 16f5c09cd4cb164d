"""Promos by command: checked as Telegram would when they are saved, and out of the way when disabled."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.scheduler import api
from services.scheduler.app import TEMPLATES
from services.scheduler.clock import Clock
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.store import Catalogue, Schedules
from shared.bus import Refusal
from shared.events import PromoCancelled, PromoDue
from shared.queries import (
    CreatePromo,
    DeletePromo,
    EditPromo,
    GetPromo,
    PreviewPromo,
    PromoIn,
    PromoView,
    ReorderPromos,
)
from shared.templates import Templates
from tests.scheduler.conftest import HOUR, INTERVAL, START, World, nothing

WEBINAR = {"title": "🎓 Webinar (free!)", "cta_text": "Take a seat", "url": "https://example.com/w"}


@pytest.fixture(scope="module")
def templates() -> Templates:
    """What scheduler ships."""
    return Templates.load(TEMPLATES)


class Desk:
    """Somebody who edits the catalogue."""

    def __init__(self, catalogue: Catalogue, templates: Templates) -> None:
        self.catalogue, self.templates = catalogue, templates

    async def create(self, promo_id: str, cause: UUID | None = None, **given: Any) -> PromoView:
        command = CreatePromo(cause=cause or uuid4(), promo_id=promo_id, promo=PromoIn(**given))
        return await api.create_promo(command, self.catalogue, self.templates, START)

    async def edit(self, promo_id: str, cause: UUID | None = None, **given: Any) -> PromoView:
        command = EditPromo(cause=cause or uuid4(), promo_id=promo_id, promo=PromoIn(**given))
        return await api.edit_promo(command, self.catalogue, self.templates, START, nothing)

    async def delete(self, promo_id: str, cause: UUID | None = None) -> None:
        command = DeletePromo(cause=cause or uuid4(), promo_id=promo_id)
        await api.delete_promo(command, self.catalogue, START, nothing)


@pytest.fixture
def desk(settled: Schedules, catalogue: Catalogue, templates: Templates) -> Desk:
    """Return somebody who edits the catalogue of the first run."""
    return Desk(catalogue, templates)


async def refusal_of(act: Callable[[], Any]) -> Refusal:
    """Return the refusal that something ends in."""
    with pytest.raises(Refusal) as refused:
        await act()
    return refused.value


async def test_a_promo_is_written_by_hand_or_by_template(desk: Desk) -> None:
    """Title and plain text are escaped, MarkdownV2 is taken as it is, a template gets escaped variables."""
    plain = await desk.create("plain", **WEBINAR, description="1 + 1 = 2!")
    assert plain.text == "*🎓 Webinar \\(free\\!\\)*\n\n1 \\+ 1 \\= 2\\!"
    assert (plain.position, plain.enabled, plain.url, plain.payload) == (5, True, WEBINAR["url"], None)
    styled = await desk.edit("plain", description="_soon_", format="markdown_v2")
    assert styled.text.endswith("\n\n_soon_")
    drawn = await desk.edit("plain", template="vip_support", title="a_b")
    assert drawn.text.startswith("*a\\_b*")
    assert (drawn.template, drawn.description, drawn.format) == ("vip_support", "", "plain")
    by_hand = await desk.edit("plain", description="x", payload="webinar")
    assert (by_hand.template, by_hand.url, by_hand.payload) == (None, None, "webinar")


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"description": "*open", "format": "markdown_v2"}, "text", "Can't find end of Bold entity"),
        ({"description": "x" * 4096}, "text", "message is too long"),
        ({"url": "http://example.com"}, "url", "expected an https URL"),
        ({"url": "https://"}, "button", "URL"),
        ({"url": None}, "payload", "expected exactly one of payload and url"),
        ({"payload": "also"}, "url", "expected exactly one of payload and url"),
        ({"cta_text": " "}, "cta_text", "is missing"),
        ({"title": None}, "title", "is missing"),
        ({"template": "nope"}, "template", "unknown template 'nope'"),
        ({"template": "vip_support", "description": "x"}, "template", "expected one of"),
        ({"variables": {"a": 1}}, "variables", "expected a template"),
    ],
)
async def test_what_telegram_would_refuse_is_refused(
    desk: Desk, given: dict[str, Any], field: str, words: str
) -> None:
    """Nothing is saved that could not be posted, and Telegram's own words say why."""
    refusal = await refusal_of(lambda: desk.create("webinar", **WEBINAR | given))
    assert refusal.status == 422
    assert any(each["field"] == field and words in each["message"] for each in refusal.extra["errors"]), (
        refusal.extra
    )
    assert (await refusal_of(lambda: desk.edit("webinar", title="x"))).status == 404


async def test_ids_and_payloads_are_taken_once(desk: Desk) -> None:
    """A press must lead to one promo: a second of the same payload is refused, as is one of the same id."""
    pay = {"title": "x", "cta_text": "y", "payload": "premium"}
    assert (await refusal_of(lambda: desk.create("other", **pay))).detail.endswith("has the payload premium")
    assert (await refusal_of(lambda: desk.create("analytics", **WEBINAR))).status == 409
    assert (await refusal_of(lambda: desk.edit("analytics", payload="vip"))).status == 409
    assert (await desk.edit("analytics", payload="analytics")).payload == "analytics"


async def test_a_repeated_command_is_one_command(desk: Desk, catalogue: Catalogue) -> None:
    """Making, editing and removing again under the same cause change nothing more."""
    cause = uuid4()
    made = [await desk.create("webinar", cause, **WEBINAR) for _ in range(2)]
    assert made[0] == made[1]
    edited = [await desk.edit("webinar", cause, title=title) for title in ("first", "second")]
    assert [each.title for each in edited] == ["first", "first"]
    for _ in range(2):
        await desk.delete("webinar", cause)
    assert len(await catalogue.promos()) == 4


async def test_another_order(desk: Desk, catalogue: Catalogue) -> None:
    """Those that are named come first, the others keep their order; an unknown one changes nothing."""

    async def reorder(*promo_ids: str) -> list[str]:
        command = ReorderPromos(cause=uuid4(), promo_ids=promo_ids)
        return [promo.id for promo in (await api.reorder_promos(command, catalogue, START)).items]

    expected = ["vip_support", "copy_trading", "premium_signals", "analytics"]
    assert await reorder("vip_support", "copy_trading") == expected
    assert (await refusal_of(lambda: reorder("analytics", "nope"))).status == 404
    assert [promo.id for promo in await catalogue.promos()] == expected


async def test_a_preview_saves_nothing(desk: Desk, catalogue: Catalogue, templates: Templates) -> None:
    """What would be shown of a change, or of a new promo, with its entities and button."""
    query = PreviewPromo(promo_id="analytics", promo=PromoIn(description="see _this_", format="markdown_v2"))
    shown = await api.preview_promo(query, catalogue, templates)
    assert shown.plain == "📊 Analytics\n\nsee this"
    assert [entity["type"] for entity in shown.entities] == ["bold", "italic"]
    assert shown.button.payload == "analytics"
    new = await api.preview_promo(PreviewPromo(promo=PromoIn(**WEBINAR)), catalogue, templates)
    assert new.plain == WEBINAR["title"]
    assert (await api.get_promo(GetPromo(promo_id="analytics"), catalogue)).template == "analytics"


async def test_a_disabled_promo_is_cancelled_where_it_was_due(desk: Desk, clock: Clock, world: World) -> None:
    """Disabling between due and post cancels what is unsent of that promo, in every schedule, and no more."""
    await clock.tick()
    await desk.edit("copy_trading", enabled=False)
    await clock.tick()
    assert world.of(PromoCancelled) == []
    await desk.edit("premium_signals", enabled=False)
    await clock.tick()
    (cancelled,) = world.of(PromoCancelled)
    assert (cancelled.schedule_id, cancelled.promo_id, cancelled.up_to, cancelled.reason) == (
        DEFAULT_SCHEDULE, "premium_signals", START, "disabled",
    )  # fmt: skip
    await desk.edit("premium_signals", enabled=True)
    await desk.edit("premium_signals", enabled=False)
    world.now = START + INTERVAL
    await clock.tick()
    assert len(world.of(PromoCancelled)) == 1
    assert [due.promo_id for due in world.of(PromoDue)[2:]] == ["analytics", "analytics"]


async def test_a_disabled_promo_that_is_not_announced_yet_is_cancelled_first(
    desk: Desk, clock: Clock, world: World
) -> None:
    """After a crash between decision and announcement the cancellation goes out before the posts."""
    world.fails = 1
    with pytest.raises(ConnectionResetError):
        await clock.tick()
    world.events.clear()
    await desk.edit("premium_signals", enabled=False)
    await clock.tick()
    assert [type(event) for event in world.events] == [PromoCancelled, PromoDue, PromoDue]


async def test_an_edit_in_mid_slot_leaves_the_post_as_it_was(desk: Desk, clock: Clock, world: World) -> None:
    """What is due is a snapshot: a new text is posted from the next turn on."""
    await clock.tick()
    before = world.of(PromoDue)[0]
    await desk.edit("premium_signals", title="Other", url="https://example.com/other")
    await clock.tick()
    assert {(due.text, due.payload) for due in world.of(PromoDue)} == {(before.text, "premium")}
    for n in range(1, 5):
        world.now = START + n * INTERVAL
        await clock.tick()
    last = world.of(PromoDue)[-1]
    assert last.button is not None
    assert last.button.url == "https://example.com/other"


async def test_a_promo_of_a_schedule_s_own_set_is_not_removed(
    desk: Desk, schedules: Schedules, clock: Clock, world: World
) -> None:
    """Removing a promo cancels it and the rotation goes on; one that a set names has to leave that first."""
    await clock.tick()
    await schedules.edit(DEFAULT_SCHEDULE, _only("premium_signals", "vip_support"), uuid4(), START + HOUR)
    refusal = await refusal_of(lambda: desk.delete("premium_signals"))
    assert (refusal.status, "default" in refusal.detail) == (409, True)
    await schedules.edit(DEFAULT_SCHEDULE, _only("vip_support"), uuid4(), START + HOUR)
    await desk.delete("premium_signals")
    world.now = START + INTERVAL
    await clock.tick()
    assert [each.promo_id for each in world.of(PromoCancelled)] == ["premium_signals"]
    assert world.of(PromoDue)[-1].promo_id == "vip_support"


def _only(*promo_ids: str) -> Any:
    return lambda wanted: replace(wanted, promo_ids=promo_ids)
