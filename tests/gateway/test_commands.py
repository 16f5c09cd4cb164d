"""The bot's commands, from the webhook to the reply."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from services.gateway.bot import Command, Commands, Registry, every_command
from services.gateway.bot.registry import Asked, Hands
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.commands import typed_in
from services.gateway.domain.roles import Role
from services.gateway.domain.updates import Written
from services.gateway.store import User
from shared import ids, markdown
from shared.bus import Refusal, RetryLater
from shared.events import (
    ButtonClicked,
    Channel,
    ClickSource,
    Lane,
    MessageRequested,
    Person,
    UpdateReceived,
    click_id,
    update_id_of,
)
from shared.queries import IntroduceRecipients, ScheduleChanged, ScheduleView, StartSchedule, StopSchedule

BOT_ID = 123456
OWNER = 77
GROUP = {"id": -1009, "type": "supergroup"}
SCHEDULE = ScheduleView.model_validate(
    {
        "id": ids.derived("schedule", "default"),
        "active": True,
        "bot": "default",
        "interval_seconds": 14_400,
        "time_zone": "Europe/Madrid",
        "chat_ids": [-100],
        "promo_ids": [],
        "next_run": "2026-07-01T16:00:00Z",
    }
)


def shown(request: MessageRequested) -> str:
    """Return the text of a reply as Telegram shows it."""
    assert request.body is not None
    return markdown.check(request.body.text, buttons=request.body.buttons).text


async def reply_to(gateway: Any, update: dict[str, Any]) -> MessageRequested:
    """Deliver an update and return the reply to it."""
    wanted = ids.derived("reply", update_id_of(BOT_ID, update["update_id"]))
    assert (await gateway.hook(update))[0] == 200
    async with asyncio.timeout(60):
        while (
            reply := {event.id: event for event in gateway.published(MessageRequested)}.get(wanted)
        ) is None:
            await asyncio.sleep(0.02)
    return reply


async def test_start_greets_and_registers(gateway: Any) -> None:
    """First contact registers a person and tells senders; the reply goes to the chat, in its lane."""
    reply = await reply_to(gateway, gateway.message(1, "/start"))
    assert "Welcome, Ann" in shown(reply)
    assert (reply.lane, reply.channels, reply.bot) == (Lane.TRANSACTIONAL, (Channel.TELEGRAM,), "default")
    assert reply.address is not None
    assert (reply.address.telegram_chat_id, reply.reply_to_message_id) == (5, None)
    assert (await gateway.logged(1))["command"] == "start"
    user = ids.user_of_telegram(5)
    async with asyncio.timeout(60):
        while user not in gateway.peers.recipients:
            await asyncio.sleep(0.02)
    known = gateway.peers.recipients[user]
    assert (known.telegram_chat_id, known.language, known.role) == (5, "en", "public")
    row = await gateway.database.row(text("SELECT * FROM telegram_users"))
    assert (row["id"], row["telegram_id"], row["first_name"], row["role"]) == (user, 5, "Ann", "public")
    assert gateway.published(ButtonClicked) == []


async def test_a_deep_link_is_recorded(gateway: Any) -> None:
    """`/start <payload>` is a press of source deep link, with the update's derived id, and a greeting."""
    await reply_to(gateway, gateway.message(2, "/start premium"))
    (press,) = await gateway.eventually(ButtonClicked)
    assert (press.id, press.source, press.payload) == (click_id(123456, 2), ClickSource.DEEP_LINK, "premium")
    assert press.user_id == ids.user_of_telegram(5)
    line = await gateway.logged(2)
    assert (line["kind"], line["command"], line["status"]) == ("message", "start", "handled")


async def test_a_repeated_command_has_one_effect(gateway: Any) -> None:
    """The same update again neither replies nor records again."""
    for _ in range(3):
        await reply_to(gateway, gateway.message(3, "/start vip")) if not gateway.taken else None
        assert (await gateway.hook(gateway.message(3, "/start vip")))[0] == 200
    await reply_to(gateway, gateway.message(4, "/help"))
    assert len(gateway.published(MessageRequested)) == 2
    assert len(gateway.published(ButtonClicked)) == 1
    assert await gateway.database.value(text("SELECT count(*) FROM telegram_users")) == 1


async def test_help_shows_what_the_role_may_use(gateway: Any) -> None:
    """The list is alphabetical and ends where the role does; details are of what the role may use."""
    public = shown(await reply_to(gateway, gateway.message(1, "/help")))
    assert "/help" in public
    assert public.index("/help") < public.index("/start ")
    assert "/start_marketing" not in public
    assert "no command" in shown(await reply_to(gateway, gateway.message(2, "/help start_marketing")))
    owner = shown(await reply_to(gateway, gateway.message(3, "/help", user=OWNER)))
    assert "/start_marketing" in owner
    details = shown(await reply_to(gateway, gateway.message(4, "/help /START_marketing", user=OWNER)))
    assert "/start-marketing" in details
    assert "ADMIN" in details
    assert "no command" in shown(await reply_to(gateway, gateway.message(5, "/help *_[x]", user=OWNER)))


async def test_start_marketing_needs_a_role(gateway: Any) -> None:
    """A refusal names the role that is needed, and nothing is started."""
    reply = shown(await reply_to(gateway, gateway.message(1, "/start_marketing")))
    assert "ADMIN" in reply
    assert (await gateway.logged(1))["status"] == "refused"
    assert gateway.peers.of(StartSchedule) == []


async def test_start_marketing(gateway: Any) -> None:
    """An owner starts the schedule, and is told of the next run in the schedule's time zone."""
    await gateway.peers.answer(StartSchedule, lambda _: ScheduleChanged(changed=True, schedule=SCHEDULE))
    for update_id, words in enumerate(
        ("/start_marketing", "/start-marketing", "/START_Marketing@Carillon_Bot")
    ):
        reply = shown(await reply_to(gateway, gateway.message(update_id, words, user=OWNER)))
        assert "running" in reply
        assert "Every 4 hours, in 1 chat" in reply
        assert "2026-07-01 18:00 (Europe/Madrid)" in reply
    assert [command.schedule_id for command in gateway.peers.of(StartSchedule)] == [None] * 3
    assert len({command.cause for command in gateway.peers.of(StartSchedule)}) == 3


async def test_marketing_commands_say_when_they_were_asked_for(gateway: Any) -> None:
    """Scheduler is told when a command came in; one that a newer one has overtaken says how things stand."""
    stopped = SCHEDULE.model_copy(update={"active": False, "next_run": None})
    await gateway.peers.answer(StartSchedule, lambda _: ScheduleChanged(changed=False, schedule=stopped))
    await gateway.peers.answer(StopSchedule, lambda _: ScheduleChanged(changed=False, schedule=SCHEDULE))
    for update_id, (words, said) in enumerate(
        (("/start_marketing", "stopped already"), ("/stop_marketing", "running already"))
    ):
        reply = shown(await reply_to(gateway, gateway.message(update_id, words, user=OWNER)))
        assert said in reply
        assert "later command" in reply
    commands = [*gateway.peers.of(StartSchedule), *gateway.peers.of(StopSchedule)]
    came = [(await gateway.logged(update_id))["received_at"] for update_id in range(2)]
    assert [command.asked_at for command in commands] == came


async def test_start_marketing_when_scheduler_says_no_or_nothing(gateway: Any) -> None:
    """A refusal, and silence, are told as what they are; neither is taken for success."""
    silent = shown(await reply_to(gateway, gateway.message(1, "/start_marketing", user=OWNER)))
    assert "did not answer" in silent

    def refuse(_: StartSchedule) -> ScheduleChanged:
        raise Refusal(404, "Unknown schedule", "there is no schedule")

    await gateway.peers.answer(StartSchedule, refuse)
    refused = shown(await reply_to(gateway, gateway.message(2, "/start_marketing", user=OWNER)))
    assert "there is no schedule" in refused


async def test_in_groups(gateway: Any) -> None:
    """In a group a reply refers to the message; commands for other bots and unknown ones are passed over."""
    reply = await reply_to(gateway, gateway.message(1, "/help@carillon_bot", **GROUP))
    assert reply.address is not None
    assert (reply.address.telegram_chat_id, reply.reply_to_message_id) == (-1009, 2)
    for update_id, words in (
        (2, "/help@OtherBot"),
        (3, "/unheard_of"),
        (4, "words"),
        (5, "/"),
        (6, "/ help"),
    ):
        assert (await gateway.hook(gateway.message(update_id, words, **GROUP)))[0] == 200
        assert (await gateway.logged(update_id))["status"] == "ignored"
    assert len(gateway.published(MessageRequested)) == 1
    assert "do not know" in shown(await reply_to(gateway, gateway.message(7, "/unheard_of")))
    sample = REGISTRY.get_sample_value
    assert sample("telegram_commands_total", {"command": "unknown", "status": "ignored"})
    assert sample("telegram_commands_total", {"command": "unheard_of", "status": "ignored"}) is None


async def test_edited_messages_and_channel_posts_are_no_commands(gateway: Any) -> None:
    """Only a message commands: its edit must not do the same again."""
    assert (await gateway.hook(gateway.message(1, "/help", kind="edited_message")))[0] == 200
    assert (await gateway.hook(gateway.message(2, "/help", kind="channel_post")))[0] == 200
    for update_id, kind in ((1, "edited_message"), (2, "channel_post")):
        line = await gateway.logged(update_id)
        assert (line["kind"], line["status"]) == (kind, "ignored")
    assert gateway.published(MessageRequested) == []


async def test_inactive_users_are_refused(gateway: Any) -> None:
    """Somebody who was suspended gets a refusal, whatever the role."""
    await reply_to(gateway, gateway.message(1, "/start", user=OWNER))
    await gateway.database.execute(text("UPDATE telegram_users SET active = false"))
    reply = shown(await reply_to(gateway, gateway.message(2, "/start_marketing", user=OWNER)))
    assert "suspended" in reply
    assert (await gateway.logged(2))["status"] == "refused"


async def test_a_failing_command_answers_with_an_error_id(gateway: Any) -> None:
    """What nobody foresaw is answered with an id that is in the log, and with none of its words."""
    # A time that does not exist in the schedule's time zone.
    broken = SCHEDULE.model_dump() | {"next_run": "9999-12-31T23:59:59Z", "time_zone": "Asia/Tokyo"}
    answer = ScheduleChanged.model_validate({"changed": True, "schedule": broken})
    await gateway.peers.answer(StartSchedule, lambda _: answer)
    reply = shown(await reply_to(gateway, gateway.message(1, "/start_marketing", user=OWNER)))
    line = await gateway.logged(1)
    assert line["status"] == "failed"
    assert f"Error id: {line['error']}" in reply
    assert "Overflow" not in reply


async def test_people_are_told_to_senders_again_when_they_change(gateway: Any) -> None:
    """A press makes somebody known without a chat; their first private message adds it."""
    data = f"p1.vip.{ids.to_short(ids.derived('delivery', 1))}"
    assert (await gateway.hook(gateway.press(1, data)))[0] == 200
    user = ids.user_of_telegram(5)
    async with asyncio.timeout(60):
        while user not in gateway.peers.recipients:
            await asyncio.sleep(0.02)
    assert gateway.peers.recipients[user].telegram_chat_id is None
    await reply_to(gateway, gateway.message(2, "/start"))
    async with asyncio.timeout(60):
        while gateway.peers.recipients[user].telegram_chat_id is None:
            await asyncio.sleep(0.02)
    assert gateway.peers.recipients[user].bot == "default"
    introduced = gateway.peers.of(IntroduceRecipients)
    assert all(each.at is not None for question in introduced for each in question.people)
    told = len(introduced)
    await reply_to(gateway, gateway.message(3, "/help"))
    await gateway.logged(3)
    assert len(gateway.peers.of(IntroduceRecipients)) == told


async def test_commands_are_published_to_telegram(gateway: Any, telegram: Any) -> None:
    """Everybody is shown what everybody may use, and the table says what was published."""
    async with asyncio.timeout(60):
        while not (
            rows := await gateway.database.rows(text("SELECT * FROM telegram_commands ORDER BY name"))
        ):
            await asyncio.sleep(0.02)
    assert [row["name"] for row in rows] == [each.name for each in every_command().visible_to(Role.OWNER)]
    assert {row["name"]: row["role"] for row in rows}["start_marketing"] == "admin"
    token = "123456:ABC-def_1234567890"
    async with gateway.http.post(f"{telegram.api_url}/bot{token}/getMyCommands") as response:
        commands = (await response.json())["result"]
    everybodys = [each.name for each in every_command().visible_to(Role.PUBLIC)]
    assert [command["command"] for command in commands] == everybodys


# --- the registry ---------------------------------------------------------------------------------------


async def nothing(_: Asked, __: Hands) -> markdown.Message:
    """Do nothing."""
    return markdown.Message()


def command(name: str, *aliases: str, role: Role = Role.PUBLIC, hidden: bool = False) -> Command:
    """Return a command that does nothing."""
    return Command(
        name=name, category="general", description="x", role=role, run=nothing, help="x", aliases=aliases,
        hidden=hidden,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["Start", "start-marketing", "", "x" * 33, "hé", "two words", "/start"])
def test_names_that_telegram_does_not_allow(name: str) -> None:
    """Such a command fails at start, not when it is published."""
    with pytest.raises(ValueError, match="cannot be a command"):
        Registry([command(name)])


def test_names_that_clash() -> None:
    """Two commands never answer to one name or alias."""
    for pair in (
        [command("a"), command("a")],
        [command("a", "b"), command("b")],
        [command("a", "c"), command("b", "c")],
    ):  # fmt: skip
        with pytest.raises(ValueError, match="declared twice"):
            Registry(pair)
    with pytest.raises(ValueError, match="alias"):
        Registry([command("a", "B C")])


def test_what_a_role_sees() -> None:
    """Higher roles see more; hidden commands are found but not shown."""
    registry = Registry([command("z"), command("a", role=Role.ADMIN), command("secret", hidden=True)])
    assert [each.name for each in registry.visible_to(Role.PUBLIC)] == ["z"]
    assert [each.name for each in registry.visible_to(Role.OWNER)] == ["a", "z"]
    assert registry.find("SECRET") is not None


def test_every_command_is_whole() -> None:
    """The shipped registry stands, and every command in it explains itself."""
    registry = every_command()
    assert all(each.help and each.description for each in registry.visible_to(Role.OWNER))
    assert registry.find("start-marketing") is registry.find("start_marketing")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("/start", ("start", None, "")), ("/Start  a b ", ("start", None, "a b")),
        ("/start@Bot_1 x", ("start", "Bot_1", "x")), ("/a\nb", ("a", None, "b")),
        ("start", None), (" /start", None), ("/start@b", None), ("/st art/", ("st", None, "art/")),
        ("/é", None), ("", None), (None, None), ("/", None),
    ],
)  # fmt: skip
def test_typed(words: str | None, expected: tuple[str, str | None, str] | None) -> None:
    """A command is a slash and a name at the very start, perhaps with the bot that it is for."""
    typed = typed_in(words)
    assert (typed and (typed.name, typed.bot, typed.rest)) == expected


async def test_an_old_command_expires_whatever_is_unknown() -> None:
    """A command for a bot whose name is not known waits longer and longer, and no longer than a day."""
    bots = {"default": DoorBot("default", 1, b"x")}
    commands = Commands(every_command(), bots, cast("Hands", None))
    now = datetime(2026, 1, 2, tzinfo=UTC)
    written = Written(Person(telegram_id=5), 5, True, 1, "/help@some_bot")
    user = User(uuid4(), 5, Role.PUBLIC, True, None, 5, "default", uuid4())

    def update(age: timedelta) -> UpdateReceived:
        return UpdateReceived(
            id=uuid4(), at=now - age, bot="default", bot_id=1, update_id=1, kind="message", update={}
        )

    for age, seconds in ((timedelta(0), 2.0), (timedelta(seconds=9), 9.0), (timedelta(hours=23), 16.0)):
        with pytest.raises(RetryLater) as later:
            await commands.run(update(age), written, user, now)
        assert later.value.seconds == seconds
    assert (await commands.run(update(timedelta(hours=25)), written, user, now)).status == "expired"


async def test_replies_come_in_the_order_of_the_commands(gateway: Any) -> None:
    """A slow command holds up what follows in its chat, and nobody else's."""
    release = asyncio.Event()

    async def slow(_: StartSchedule) -> ScheduleChanged:
        await release.wait()
        return ScheduleChanged(changed=True, schedule=SCHEDULE)

    await gateway.peers.answer(StartSchedule, slow)
    assert (await gateway.hook(gateway.message(1, "/start_marketing", user=OWNER)))[0] == 200
    assert (await gateway.hook(gateway.message(2, "/help", user=OWNER)))[0] == 200
    assert (await gateway.hook(gateway.message(3, "/help", user=6)))[0] == 200
    await gateway.logged(3)
    release.set()
    await gateway.logged(2)
    events = await gateway.eventually(MessageRequested, 3)
    chats = [event.address.telegram_chat_id for event in events if event.address]
    assert chats == [6, OWNER, OWNER]
    assert "running" in shown(events[1])
