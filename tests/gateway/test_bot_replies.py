"""What the bot does for people, admins and owners, and that no button of it leads nowhere."""

import asyncio
import string
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.gateway.bot import every_command, shipped_guides, texts
from services.gateway.domain.roles import Role
from shared import ids, markdown
from shared.events import Channel, ClickSource, MessageRequested, QuietHours, update_id_of
from shared.queries import (
    AuditClicks,
    AuditScheduler,
    AuditSenders,
    Books,
    CampaignEstimate,
    CampaignView,
    CancelCampaign,
    ClickPage,
    ClickView,
    CountClicks,
    CreateCampaign,
    EditPromo,
    EstimateCampaign,
    ListClicks,
    ListPromos,
    ListSchedules,
    PromoClicks,
    PromoClicksList,
    PromoList,
    PromoView,
    ScheduleChanged,
    ScheduleList,
    StartSchedule,
    StopSchedule,
)
from tests.gateway.conftest import BOT_ID, OWNER
from tests.gateway.test_commands import SCHEDULE, reply_to, shown

PROMO = PromoView(
    id="a_promo_whose_name_is_longer_than_any_button_could_carry_in_64_bytes"[:64],
    title="VIP",
    cta_text="Go",
    text="*Bold*",
    payload="vip",
    enabled=True,
    position=1,
)
NUMBERS = PromoClicks(promo_id=PROMO.id, clicks=7, unique_users=3, conversion_rate=0.5, deep_links=2, posts=9)
CLICK = ClickView(
    id=ids.derived("click", 1), user_id=ids.user_of_telegram(5), promo_id="vip", cta_text=None, chat_id=1,
    message_id=1, source=ClickSource.BUTTON, metadata=None, clicked_at=SCHEDULE.next_run,
)  # fmt: skip
MEMBERS = {Role.PUBLIC: 5, Role.SUBSCRIBER: 6, Role.ADMIN: 7, Role.OWNER: OWNER}


def data_of(reply: MessageRequested) -> list[str]:
    """Return the callback data of a reply's buttons."""
    assert reply.body is not None
    return [button.data for row in reply.body.buttons for button in row if button.data]


class Person:
    """Somebody who writes to the bot and presses its buttons."""

    numbers = iter(range(1, 10_000_000))

    def __init__(self, gateway: Any, user: int) -> None:
        self.gateway, self.user, self.last = gateway, user, 0

    async def write(self, words: str, **chat: Any) -> MessageRequested:
        """Write, and return the reply."""
        self.last = next(self.numbers)
        return await reply_to(self.gateway, self.gateway.message(self.last, words, user=self.user, **chat))

    async def press(self, data: str, **changes: Any) -> MessageRequested:
        """Press a button of the bot's own in the private chat, and return the reply."""
        message = {"message_id": 12, "date": 1, "chat": {"id": self.user, "type": "private"}}
        self.last = next(self.numbers)
        update = self.gateway.press(self.last, data, message=message | changes, **{"from": self.card()})
        return await reply_to(self.gateway, update)

    async def line(self) -> dict[str, Any]:
        """Return the line in the update log of what they did last."""
        line: dict[str, Any] = await self.gateway.logged(self.last)
        return line

    def card(self) -> dict[str, Any]:
        """Return the person as Telegram describes them."""
        return {"id": self.user, "is_bot": False, "first_name": "Ann", "username": f"ann{self.user}"}


@pytest.fixture
async def marketing(gateway: Any) -> Any:
    """Have scheduler and clicks answer."""
    answer = gateway.peers.answer
    changed = ScheduleChanged(changed=True, schedule=SCHEDULE)
    await answer(StartSchedule, lambda _: changed)
    await answer(StopSchedule, lambda _: changed)
    await answer(ListSchedules, lambda _: ScheduleList(items=(SCHEDULE,)))
    await answer(ListPromos, lambda _: PromoList(items=(PROMO,)))
    await answer(EditPromo, lambda command: PROMO.model_copy(update={"enabled": command.promo.enabled}))
    await answer(CountClicks, lambda _: PromoClicksList(items=(NUMBERS,)))
    estimate = CampaignEstimate(recipients=3, channels={Channel.TELEGRAM: 3}, unreachable=0, seconds=90.0)
    await answer(EstimateCampaign, lambda _: estimate)
    await answer(CreateCampaign, lambda command: campaign(command.campaign_id, "running"))
    await answer(CancelCampaign, lambda command: campaign(command.campaign_id, "cancelled"))
    await answer(ListClicks, lambda _: ClickPage(items=(CLICK,)))
    return gateway


def campaign(campaign_id: UUID, status: str) -> CampaignView:
    """Return a campaign of three, of whom nobody has got it yet."""
    assert SCHEDULE.next_run is not None
    return CampaignView(
        id=campaign_id, status=status, intended=3, sent=0, failed=0, suppressed=0, ambiguous=0, pending=3,
        created_at=SCHEDULE.next_run,
    )  # fmt: skip


async def set_role(gateway: Any, user: int, role: Role) -> None:
    """Give somebody whom the bot has met a role, in the table."""
    statement = text("UPDATE telegram_users SET role = :role WHERE telegram_id = :id")
    assert await gateway.database.execute(statement, role=role.word, id=user)


async def test_who_may_give_which_command(marketing: Any) -> None:
    """Every command answers every role: it is done from its own role on, and refused below, naming it."""
    people = {role: Person(marketing, user) for role, user in MEMBERS.items()}
    for role, person in people.items():
        await person.write("/help")
        await set_role(marketing, person.user, role)
    for command in every_command().visible_to(Role.OWNER):
        for role, person in people.items():
            # /stop would take the role away that is tried.
            words = f"/{command.name}" if command.name != "stop" else "/stop nothing"
            answer = shown(await person.write(words))
            line = await person.line()
            is_refused = role < command.role
            assert (line["status"] == "refused") == is_refused, (command.name, role, answer)
            assert (f"needs the role {command.role.name}" in answer) == is_refused, (command.name, role)
            await set_role(marketing, person.user, role)


@pytest.mark.slow
async def test_every_button_leads_somewhere(marketing: Any) -> None:
    """Whatever buttons come up for an owner, who may all, pressing each is handled, until none is new."""
    person, role = Person(marketing, OWNER), Role.OWNER
    await person.write("/start")
    await Person(marketing, 8).write("/start")
    await set_role(marketing, person.user, role)
    await set_role(marketing, 8, Role.ADMIN)
    await marketing.bus._publisher.publish("updates.1", b"{", {"Nats-Msg-Id": "poison"})
    async with asyncio.timeout(60):
        while not await marketing.bus.dead_letters.count():
            await asyncio.sleep(0.02)
    waiting, seen = data_of(await person.write("/broadcast Hello")), set()
    for command in every_command().visible_to(role):
        waiting += data_of(await person.write(f"/{command.name}"))
    while waiting:
        data = waiting.pop()
        if data in seen:
            continue
        seen.add(data)
        await set_role(marketing, person.user, role)
        reply = await person.press(data)
        line = await person.line()
        assert line["status"] == "handled", (data, shown(reply))
        waiting += data_of(reply)
    assert len(seen) > 15


async def test_a_press_changes_the_message_that_it_is_in(gateway: Any) -> None:
    """The reply to a button edits its message; one that is gone, and a refusal, get a message anew."""
    person = Person(gateway, 5)
    assert (await person.press("c1.guides all")).edit_message_id == 12
    assert (await person.press("c1.guides all", date=0)).edit_message_id is None
    refused = await person.press("c1.dlq")
    assert refused.edit_message_id is None
    assert "OWNER" in shown(refused)
    unknown = await person.press("c1.no_such_command")
    assert unknown.edit_message_id is None
    assert "do not know" in shown(unknown)


async def test_private_commands_stay_private(gateway: Any) -> None:
    """What concerns one person is not shown in a group: the reply leads to the private chat."""
    group = {"id": -1009, "type": "supergroup"}
    person = Person(gateway, 5)
    await person.write("/start")
    for name in ("newsletter", "settings", "stop"):
        reply = await person.write(f"/{name}", **group)
        assert "in private" in shown(reply)
        assert reply.body is not None
        assert reply.body.buttons[0][0].url == "https://t.me/carillon_bot"
    assert "Trading" in str((await person.write("/guides", **group)).body)


async def test_newsletter_gives_and_takes_the_role(gateway: Any) -> None:
    """On opts in and makes a PUBLIC user a SUBSCRIBER; off and /stop undo both; admins keep their role."""
    person = Person(gateway, 5)
    for words, role, opted_out in (
        ("/newsletter on", "subscriber", False),
        ("/newsletter off", "public", True),
        ("/Newsletter ON", "subscriber", False),
        ("/stop", "public", True),
    ):
        await person.write(words)
        user = ids.user_of_telegram(5)
        assert gateway.peers.recipients[user].opted_out is opted_out
        async with asyncio.timeout(60):
            while gateway.peers.recipients[user].role != role:
                await asyncio.sleep(0.02)
    await set_role(gateway, 5, Role.ADMIN)
    await person.write("/stop")
    assert gateway.peers.recipients[user].opted_out
    assert "not subscribed" in shown(await person.write("/newsletter"))
    role = await gateway.database.value(text("SELECT role FROM telegram_users"))
    assert role == "admin"


async def test_people_are_spoken_to_in_their_language(gateway: Any) -> None:
    """Telegram's language counts until somebody chooses; senders is told; unknown ones get English."""
    person = Person(gateway, 5)
    update = gateway.message(next(person.numbers), "/start")
    update["message"]["from"]["language_code"] = "es-MX"
    assert "¡Hola" in shown(await reply_to(gateway, update))
    assert "Your settings" in shown(await person.press("c1.settings language en"))
    assert "Welcome" in shown(await person.write("/start"))
    user = ids.user_of_telegram(5)
    async with asyncio.timeout(60):
        while user not in gateway.peers.recipients or gateway.peers.recipients[user].language != "en":
            await asyncio.sleep(0.02)
    assert "did not understand" in shown(await person.write("/settings language klingon"))


async def test_settings_reach_senders(gateway: Any) -> None:
    """Channels, quiet hours and time zone are commands to senders; one channel always stays open."""
    person, user = Person(gateway, 5), ids.user_of_telegram(5)
    await person.write("/start")
    for name in ("push", "email"):
        await person.press(f"c1.settings channels {name} off")
    assert set(gateway.peers.recipients[user].muted) == {Channel.PUSH, Channel.EMAIL}
    assert "At least one" in shown(await person.press("c1.settings channels telegram off"))
    await person.press("c1.settings channels email on")
    assert gateway.peers.recipients[user].muted == (Channel.PUSH,)
    assert "22:30-07:00" in shown(await person.write("/settings quiet 22:30-7"))
    assert gateway.peers.recipients[user].quiet_hours == QuietHours(start=time(22, 30), end=time(7))
    assert "Asia/Tokyo" in shown(await person.write("/settings zone Asia/Tokyo"))
    for words in ("quiet 25-7", "quiet 7-7", "zone", "channels smoke off", "quiet a-b", "nonsense"):
        await person.write(f"/settings {words}")
        assert (await person.line())["status"] == ("handled" if words == "zone" else "ignored"), words
    assert "do not know that time zone" in shown(await person.write("/settings zone Mars/Base"))


async def test_promos_are_shown_and_disabled(marketing: Any) -> None:
    """An admin sees a promo as it is posted and disables it, however long its id is."""
    owner = Person(marketing, OWNER)
    (show,) = [data for data in data_of(await owner.write("/promos")) if "show" in data]
    detail = await owner.press(show)
    assert "Bold" in shown(detail)
    (disable,) = [data for data in data_of(detail) if "disable" in data]
    assert "⏸" in shown(await owner.press(disable))
    (command,) = marketing.peers.of(EditPromo)
    assert (command.promo_id, command.promo.enabled) == (PROMO.id, False)
    assert "no such promo" in shown(await owner.press("c1.promos show nothing"))


async def test_a_broadcast_is_seen_before_it_is_sent(marketing: Any) -> None:
    """Written, looked at, given an audience, tried, and sent once, as it was seen; cancelled, it is not."""
    owner = Person(marketing, OWNER)
    draft = await owner.write("/broadcast Sale: *50%* off!\n[Look here](https://example.com/sale)")
    assert "Sale: *50%* off!" in shown(draft)
    assert "Reaches 3 people, in about 1.5 minutes" in shown(draft)
    assert draft.body is not None
    assert [each.url for row in draft.body.buttons for each in row if each.url] == [
        "https://example.com/sale"
    ]
    act = {data.split()[1]: data for data in data_of(draft) if data.count(" ") == 2}
    (admins,) = [data for data in data_of(draft) if data.endswith(" admins")]
    assert "To: admins" in shown(await owner.press(admins))
    await owner.press(act["test"])
    wanted = ids.derived("test broadcast", update_id_of(BOT_ID, owner.last))
    (tried,) = [event for event in marketing.published(MessageRequested) if event.id == wanted]
    assert "50%" in shown(tried)
    assert "being sent" in shown(await owner.press(act["send"])).lower()
    async with asyncio.timeout(60):
        while not marketing.peers.of(CreateCampaign):
            await asyncio.sleep(0.05)
    assert {each.audience.roles for each in marketing.peers.of(CreateCampaign)} == {("admin", "owner")}
    other = await owner.write("/broadcast Another")
    name = next(data for data in data_of(other) if " send " in data).split()[2]
    assert "not understand" in shown(await owner.write(f"/broadcast at {name} soon enough"))
    assert "past" in shown(await owner.write(f"/broadcast at {name} 2020-01-01 09:00"))
    later = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    scheduled = shown(await owner.write(f"/broadcast at {name} {later} 09:00"))
    assert f"On: {later} 09:00 UTC" in scheduled
    assert "Cancelled" in shown(await owner.press(f"c1.broadcast cancel {name}"))
    listed = shown(await owner.write("/broadcast"))
    assert "Another (✖ Cancelled)" in listed
    update = marketing.message(next(owner.numbers), "/broadcast", user=OWNER)
    update["message"]["reply_to_message"] = {"text": "What was said before", "message_id": 1}
    assert "What was said before" in shown(await reply_to(marketing, update))


async def test_an_audit_is_answered_twice(marketing: Any) -> None:
    """An audit waits for all updates, its own among them: it is promised at once and told afterwards."""
    for question in (AuditScheduler, AuditClicks, AuditSenders):
        await marketing.peers.answer(question, lambda _: Books(lines=()))
    owner = Person(marketing, OWNER)
    assert "The result follows" in shown(await owner.write("/audit"))
    wanted = ids.derived("reply", update_id_of(BOT_ID, owner.last), "later")
    async with asyncio.timeout(60):
        while wanted not in {event.id for event in marketing.published(MessageRequested)}:
            await asyncio.sleep(0.1)
    (told,) = [event for event in marketing.published(MessageRequested) if event.id == wanted]
    assert "The books balance" in shown(told)
    assert "updates: handled: 1 in the streams, 1 in the tables" in shown(told)
    assert told.edit_message_id is None


async def test_guides_are_read_saved_and_counted(gateway: Any) -> None:
    """Opening counts a view, once per press however often it is delivered; saving and reading are kept."""
    person, first = Person(gateway, 5), shipped_guides()[0]
    assert first.title in shown(await person.press("c1.guides all"))
    update = gateway.press(
        next(person.numbers), f"c1.guides open {first.id}",
        message={"message_id": 1, "chat": {"id": 5, "type": "private"}},
    )  # fmt: skip
    opened = await reply_to(gateway, update)
    assert first.title in shown(opened)
    assert markdown.parse(first.text, "MarkdownV2").text in shown(opened)
    await gateway.database.execute(text("UPDATE telegram_webhooks SET status = 'received'"))
    assert (await gateway.hook(update))[0] == 200
    assert "opened once" in shown(await person.press(f"c1.guides save {first.id}"))
    await person.press(f"c1.guides read {first.id}")
    assert "✓" in str((await person.press("c1.guides saved")).body)
    assert "opened 2 times" in shown(await person.press(f"c1.guides open {first.id}"))
    seen = {
        shown(await person.press(f"c1.guides next {each.id}")).split("\n")[0] for each in shipped_guides()
    }
    assert seen == {each.title for each in shipped_guides()}
    await person.press(f"c1.guides drop {first.id}")
    assert "no guide yet" in shown(await person.press("c1.guides saved"))
    await gateway.database.execute(text("UPDATE telegram_guides SET enabled = false"))
    assert "not there any more" in shown(await person.press(f"c1.guides open {first.id}"))
    await gateway.database.execute(text("DELETE FROM telegram_users"))
    assert await gateway.database.value(text("SELECT count(*) FROM telegram_user_guide_collections")) == 0


async def test_stats_show_ones_own_activity(marketing: Any) -> None:
    """A subscriber sees saved and read guides, presses, and the subscription."""
    person = Person(marketing, 5)
    await person.write("/newsletter on")
    await person.press(f"c1.guides save {shipped_guides()[0].id}")
    stats = shown(await person.write("/stats"))
    for line in ("Newsletter: on", "Saved guides: 1", "Guides read: 0", "Presses on promos: 1"):
        assert line in stats
    assert marketing.peers.of(ListClicks)[0].user_id == ids.user_of_telegram(5)


@pytest.mark.slow
async def test_owners_give_roles_and_suspend(gateway: Any, telegram: Any) -> None:
    """A role given is in force with the next command and in the person's menu; owners cannot lock all out."""
    owner, ann = Person(gateway, OWNER), Person(gateway, 5)
    await owner.write("/start")
    await ann.write("/start")
    await ann.press("c1.guides")
    assert "have not met" in shown(await owner.write("/role 99 admin"))
    assert "The role is ADMIN" in shown(await owner.write("/role @ANN5 admin"))
    assert "needs the role OWNER; yours is ADMIN" in shown(await ann.write("/dlq"))
    async with asyncio.timeout(60):
        while "start_marketing" not in await menu_of(gateway, telegram, 5):
            await asyncio.sleep(0.1)
    assert "suspended" in shown(await owner.write("/admin suspend 5"))
    assert "suspended" in shown(await ann.press("c1.help"))
    await owner.write("/admin restore 5")
    await owner.press("c1.role 5 public")
    async with asyncio.timeout(60):
        while await menu_of(gateway, telegram, 5):
            await asyncio.sleep(0.1)
    for words in (f"/role {OWNER} public", f"/admin suspend {OWNER}"):
        assert "Nobody changes their own" in shown(await owner.write(words))
    overview = shown(await owner.write("/admin"))
    assert "OWNER: 1" in overview
    assert "PUBLIC: 1" in overview


async def menu_of(gateway: Any, telegram: Any, user: int) -> list[str]:
    """Return the commands that Telegram shows in a person's chat."""
    token = "123456:ABC-def_1234567890"
    scope = {"scope": {"type": "chat", "chat_id": user}}
    async with gateway.http.post(f"{telegram.api_url}/bot{token}/getMyCommands", json=scope) as response:
        return [each["command"] for each in (await response.json())["result"]]


async def test_dead_letters_are_listed_and_replayed(gateway: Any) -> None:
    """An owner sees what died and why, never what was in it, and can have it tried again."""
    owner = Person(gateway, OWNER)
    assert "There are none" in shown(await owner.write("/dlq"))
    await gateway.bus._publisher.publish("updates.1", b'{"secret words', {"Nats-Msg-Id": "poison"})
    async with asyncio.timeout(60):
        while not await gateway.bus.dead_letters.count():
            await asyncio.sleep(0.02)
    listed = shown(await owner.write("/dlq"))
    assert "gateway_updates" in listed
    (number,) = [data.rpartition(" ")[2] for data in data_of(await owner.write("/dlq")) if "show" in data]
    details = shown(await owner.press(f"c1.dlq show {number}"))
    assert "unparsable" in details
    assert "secret words" not in listed + details
    assert "1 replayed" in shown(await owner.press(f"c1.dlq replay {number}"))
    assert "not there any more" in shown(await owner.press(f"c1.dlq show {number}"))


def test_texts_say_the_same_in_every_language() -> None:
    """No language has a text that English lacks, nor other values in one; every command is described."""
    english = texts.TEXTS[texts.FALLBACK]
    for language, known in texts.TEXTS.items():
        for key, words in known.items():
            if key.startswith("commands."):
                assert every_command().find(key.split(".")[1]) is not None, key
                continue
            assert key in english, (language, key)
            assert fields(words) == fields(english[key]), (language, key)
    for command in every_command().visible_to(Role.OWNER):
        assert command.described("es") != command.description, command.name


def fields(words: str) -> set[str]:
    """Return the names of the values in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


def test_shipped_guides_are_fit_to_print() -> None:
    """Four guides of several categories, each of which Telegram takes as it is."""
    guides = shipped_guides()
    assert len(guides) == 4
    assert len({guide.category for guide in guides}) == 4
