"""python-telegram-bot, used as it is, believes the simulator."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from telegram import Bot, BotCommand, InlineKeyboardButton, InlineKeyboardMarkup, Update, error
from telegram.constants import ParseMode
from telegram.ext import (
    Application,
    ApplicationBuilder,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
)

from devstack.servers import free_port

SECRET = "s3cret_Token"
KEYBOARD = InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="p1.x")]])
Ptb = Application[Any, Any, Any, Any, Any, Any]


@pytest.fixture(autouse=True)
def _timedelta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opt in to what the library will do by default; it warns whoever reads retry_after otherwise."""
    monkeypatch.setenv("PTB_TIMEDELTA", "1")


@pytest.fixture
async def bot(street: Any) -> AsyncIterator[Bot]:
    """Open a bot of python-telegram-bot pointed at the simulator."""
    api = street.telegram.api_url
    async with Bot(street.token, base_url=f"{api}/bot", base_file_url=f"{api}/file/bot") as opened:
        yield opened


async def test_methods_give_its_objects(street: Any, bot: Bot) -> None:
    """The calls of an ordinary bot succeed and parse into the library's types."""
    assert bot.username == "carillon_bot"
    sent = await bot.send_message(42, "*Hi* 🚀", parse_mode=ParseMode.MARKDOWN_V2, reply_markup=KEYBOARD)
    assert sent.parse_entity(sent.entities[0]) == "Hi"
    assert sent.reply_markup == KEYBOARD
    assert sent.text_markdown_v2 == "*Hi* 🚀"
    edited = await bot.edit_message_text("Bye", chat_id=42, message_id=sent.message_id)
    assert not isinstance(edited, bool)
    assert edited.edit_date is not None
    assert await bot.delete_message(42, sent.message_id)
    assert (await bot.get_chat(42)).first_name == "Ann"
    commands = (BotCommand("start", "Begin"),)
    assert await bot.set_my_commands(commands)
    assert await bot.get_my_commands() == commands
    assert await bot.delete_my_commands()
    assert await bot.delete_webhook()
    assert (await bot.get_webhook_info()).url == ""


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "retry_after", "seconds": 7}, error.RetryAfter),
        ({"kind": "revoked"}, error.InvalidToken),
        ({"kind": "not_found"}, error.InvalidToken),
        ({"kind": "status_before", "status": 409}, error.Conflict),
        ({"kind": "status_before", "status": 413}, error.NetworkError),
        ({"kind": "status_before", "status": 500}, error.NetworkError),
        ({"kind": "status_after", "status": 502}, error.NetworkError),
        ({"kind": "html_502"}, error.NetworkError),
        ({"kind": "reset_before"}, error.NetworkError),
        ({"kind": "reset_after"}, error.NetworkError),
    ],
)
async def test_faults_become_its_exceptions(
    street: Any, bot: Bot, fault: dict[str, Any], kind: type[Exception]
) -> None:
    """Every kind of failure raises the class that the library has for it."""
    await street.control("POST", "/faults", **fault)
    with pytest.raises(kind) as raised:
        await bot.send_message(42, "x")
    assert type(raised.value) is kind


async def test_refusals_become_its_exceptions(street: Any, bot: Bot) -> None:
    """A bad request, a block and an upgraded group raise their classes, with the new chat's number."""
    with pytest.raises(error.BadRequest, match="Can't parse entities"):
        await bot.send_message(42, "a.b", parse_mode=ParseMode.MARKDOWN_V2)
    await street.control("POST", "/chats/42/flags", user_blocked=True)
    with pytest.raises(error.Forbidden, match="bot was blocked by the user"):
        await bot.send_message(42, "x")
    group = await street.chat("group")
    new = (await street.control("POST", f"/chats/{group}/migrate"))["id"]
    with pytest.raises(error.ChatMigrated) as raised:
        await bot.send_message(group, "x")
    assert raised.value.new_chat_id == new


async def test_impatient_client_doubles_a_message(street: Any, bot: Bot) -> None:
    """A hidden wait longer than the read timeout is TimedOut to the library, though the message arrives."""
    await street.control("POST", "/faults", kind="hidden_wait", seconds=60)
    with pytest.raises(error.TimedOut):
        await bot.send_message(42, "x", read_timeout=0.2)
    await street.struck()
    await bot.send_message(42, "x")
    assert (await street.control("GET", "/counters"))["messages"] == 1
    street.clock.advance(60)
    async with asyncio.timeout(60):
        while (await street.control("GET", "/counters"))["messages"] < 2:
            await asyncio.sleep(0.01)


def _application(street: Any, heard: list[Any]) -> Ptb:
    """Return a bot's handlers: /start is answered, presses are thanked for, membership is noted."""
    api = street.telegram.api_url
    application = ApplicationBuilder().token(street.token).base_url(f"{api}/bot").build()

    async def start(update: Update, _: Any) -> None:
        assert update.message is not None
        heard.append(update.message.text)
        await update.message.reply_text("Welcome 🚀", reply_markup=KEYBOARD)

    async def pressed(update: Update, _: Any) -> None:
        assert update.callback_query is not None
        heard.append(update.callback_query.data)
        await update.callback_query.answer("Thanks 🚀")

    async def changed(update: Update, _: Any) -> None:
        assert update.my_chat_member is not None
        heard.append(update.my_chat_member.new_chat_member.status)

    application.add_handler(CommandHandler("start", start))
    application.add_handler(CallbackQueryHandler(pressed))
    application.add_handler(ChatMemberHandler(changed))
    return application


async def _story(street: Any, heard: list[Any]) -> None:
    """Write /start, press the button of the answer, block the bot; all must reach the bot, in order."""
    await street.control("POST", "/send", chat_id=42, text="/start premium", wait=5)
    async with asyncio.timeout(60):
        while not (sent := (await street.control("GET", "/sent"))["sent"]):
            await asyncio.sleep(0.01)
    told = await street.control("POST", "/press", chat_id=42, message_id=sent[0]["message_id"], wait=30)
    assert told["answered"]["text"] == "Thanks 🚀"
    await street.control("POST", "/chats/42/flags", user_blocked=True)
    async with asyncio.timeout(60):
        while len(heard) < 3:
            await asyncio.sleep(0.01)
    assert heard == ["/start premium", "p1.x", "kicked"]


async def test_polling_bot_lives(street: Any) -> None:
    """The library's own polling loop deletes the webhook, receives, answers and stops."""
    heard: list[Any] = []
    application = _application(street, heard)
    async with application:
        assert application.updater is not None
        await application.updater.start_polling()
        await application.start()
        await _story(street, heard)
        await application.updater.stop()
        await application.stop()


async def test_webhook_bot_lives(street: Any) -> None:
    """A receiver as in the library's custom webhook example, as strict on headers as its own, is served."""
    heard: list[Any] = []
    application = _application(street, heard)

    async def receive(request: web.BaseRequest) -> web.Response:
        strict = request.headers.get("Content-Type") == "application/json"
        if not strict or request.headers.get("X-Telegram-Bot-Api-Secret-Token") != SECRET:
            return web.Response(status=403)
        await application.update_queue.put(Update.de_json(await request.json(), application.bot))
        return web.Response()

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with application:
        await application.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        await application.bot.set_webhook(url, secret_token=SECRET)
        await _story(street, heard)
        await application.bot.delete_webhook()
        await application.stop()
    await runner.cleanup()


async def test_its_own_webhook_server_lives(street: Any) -> None:
    """The library's own (tornado) server, which answers 403 to any other Content-Type, is served."""
    pytest.importorskip("tornado", reason="python-telegram-bot[webhooks] is not installed")
    heard: list[Any] = []
    application, port = _application(street, heard), free_port()
    async with application:
        assert application.updater is not None
        await application.updater.start_webhook(
            "127.0.0.1",
            port,
            "hook",
            webhook_url=f"http://127.0.0.1:{port}/hook",
            secret_token=SECRET,
        )
        await application.start()
        await _story(street, heard)
        await application.updater.stop()
        await application.stop()
