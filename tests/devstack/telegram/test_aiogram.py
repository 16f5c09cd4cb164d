"""aiogram, used as it is, believes the simulator."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

# One worker for all, for each that runs one of them has to import it.
pytestmark = pytest.mark.xdist_group("aiogram")
SECRET = "s3cret_Token"


def aiogram(module: str = "") -> Any:
    """Return aiogram or one of its modules: importing takes seconds, and every worker reads this file."""
    return importlib.import_module(f"aiogram{module}")


def _keyboard() -> Any:
    types = aiogram(".types")
    buttons = [
        types.InlineKeyboardButton(text="Go", callback_data="p1.x"),
        types.InlineKeyboardButton(text="Site", url="https://example.com/"),
    ]
    return types.InlineKeyboardMarkup(inline_keyboard=[[each] for each in buttons])


@pytest.fixture
async def bot(street: Any) -> AsyncIterator[Any]:
    """Open an aiogram bot pointed at the simulator."""
    api = aiogram(".client.telegram").TelegramAPIServer.from_base(street.telegram.api_url)
    session = aiogram(".client.session.aiohttp").AiohttpSession(api=api)
    opened = aiogram().Bot(street.token, session=session)
    yield opened
    await session.close()


async def test_methods_give_aiograms_objects(street: Any, bot: Any) -> None:
    """The calls of an ordinary bot succeed and parse into aiogram's strict types."""
    types, keyboard = aiogram(".types"), _keyboard()
    assert (await bot.get_me()).username == "carillon_bot"
    sent = await bot.send_message(42, "*Hi* 🚀", parse_mode="MarkdownV2", reply_markup=keyboard)
    assert sent.entities is not None
    assert sent.entities[0].extract_from(sent.text or "") == "Hi"
    assert sent.reply_markup is not None
    assert sent.reply_markup.model_dump() == keyboard.model_dump()
    edited = await bot.edit_message_text("Bye", chat_id=42, message_id=sent.message_id)
    assert isinstance(edited, types.Message)
    assert edited.reply_markup is None
    assert await bot.delete_message(42, sent.message_id)
    assert (await bot.get_chat(42)).first_name == "Ann"
    assert await bot.send_chat_action(42, "typing")
    commands = [types.BotCommand(command="start", description="Begin")]
    assert await bot.set_my_commands(commands, scope=types.BotCommandScopeChat(chat_id=42))
    assert [c.command for c in await bot.get_my_commands(scope=types.BotCommandScopeChat(chat_id=42))] == [
        "start"
    ]
    assert await bot.delete_my_commands(scope=types.BotCommandScopeChat(chat_id=42))
    assert (await bot.get_webhook_info()).url == ""


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "retry_after", "seconds": 7}, "TelegramRetryAfter"),
        ({"kind": "revoked"}, "TelegramUnauthorizedError"),
        ({"kind": "not_found"}, "TelegramNotFound"),
        ({"kind": "status_before", "status": 409}, "TelegramConflictError"),
        ({"kind": "status_before", "status": 413}, "TelegramEntityTooLarge"),
        ({"kind": "status_before", "status": 500}, "TelegramServerError"),
        ({"kind": "status_after", "status": 502}, "TelegramServerError"),
        ({"kind": "html_502"}, "ClientDecodeError"),
        ({"kind": "reset_before"}, "TelegramNetworkError"),
        ({"kind": "reset_after"}, "TelegramNetworkError"),
    ],
)
async def test_faults_become_aiograms_exceptions(
    street: Any, bot: Any, fault: dict[str, Any], error: str
) -> None:
    """Every kind of failure raises the class that aiogram has for it."""
    kind = getattr(aiogram(".exceptions"), error)
    await street.control("POST", "/faults", **fault)
    with pytest.raises(kind) as raised:
        await bot.send_message(42, "x")
    assert type(raised.value) is kind
    if error == "TelegramRetryAfter":
        assert raised.value.retry_after == 7


async def test_refusals_become_aiograms_exceptions(street: Any, bot: Any) -> None:
    """A bad request, a block and an upgraded group raise their classes, with the new chat's number."""
    errors = aiogram(".exceptions")
    with pytest.raises(errors.TelegramBadRequest, match="can't parse entities"):
        await bot.send_message(42, "a.b", parse_mode="MarkdownV2")
    await street.control("POST", "/chats/42/flags", user_blocked=True)
    with pytest.raises(errors.TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(42, "x")
    group = await street.chat("group")
    new = (await street.control("POST", f"/chats/{group}/migrate"))["id"]
    with pytest.raises(errors.TelegramMigrateToChat) as raised:
        await bot.send_message(group, "x")
    assert raised.value.migrate_to_chat_id == new


def _dispatcher(heard: list[Any]) -> Any:
    """Return a bot's handlers: /start is answered, presses are thanked for, membership is noted."""
    dispatcher, keyboard = aiogram().Dispatcher(), _keyboard()

    @dispatcher.message(aiogram(".filters").CommandStart())
    async def start(message: Any) -> Any:
        heard.append(message.text)
        return message.answer("Welcome 🚀", reply_markup=keyboard)

    @dispatcher.callback_query()
    async def pressed(query: Any) -> Any:
        heard.append(query.data)
        return query.answer("Thanks 🚀", show_alert=True)

    @dispatcher.my_chat_member()
    async def changed(change: Any) -> None:
        heard.append(change.new_chat_member.status)

    return dispatcher


async def _story(street: Any, heard: list[Any]) -> None:
    """Write /start, press the button of the answer, block the bot; all must reach the bot, in order."""
    await street.control("POST", "/send", chat_id=42, text="/start premium", wait=5)
    async with asyncio.timeout(60):
        while not (sent := (await street.control("GET", "/sent"))["sent"]):
            await asyncio.sleep(0.01)
    told = await street.control("POST", "/press", chat_id=42, message_id=sent[0]["message_id"], wait=30)
    assert (told["answered"]["text"], told["answered"]["show_alert"]) == ("Thanks 🚀", True)
    await street.control("POST", "/chats/42/flags", user_blocked=True)
    async with asyncio.timeout(60):
        while len(heard) < 3:
            await asyncio.sleep(0.01)
    assert heard == ["/start premium", "p1.x", "kicked"]


async def test_polling_bot_lives(street: Any, bot: Any) -> None:
    """The library's own polling loop receives, answers and stops."""
    heard: list[Any] = []
    dispatcher = _dispatcher(heard)
    polling = asyncio.create_task(
        dispatcher.start_polling(bot, handle_signals=False, close_bot_session=False)
    )
    await _story(street, heard)
    await dispatcher.stop_polling()
    await polling


@asynccontextmanager
async def _served(dispatcher: Any, bot: Any, *, background: bool) -> AsyncIterator[str]:
    app = web.Application()
    handler = aiogram(".webhook.aiohttp_server").SimpleRequestHandler
    handler(dispatcher, bot, handle_in_background=background, secret_token=SECRET).register(app, path="/hook")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


@pytest.mark.parametrize("background", [False, True], ids=["reply in body", "in background"])
async def test_webhook_bot_lives(street: Any, bot: Any, background: bool) -> None:
    """The library's own webhook server is served, and its multipart replies in the body are performed."""
    heard: list[Any] = []
    async with _served(_dispatcher(heard), bot, background=background) as url:
        await bot.set_webhook(url, secret_token=SECRET)
        await _story(street, heard)
        (answer,) = (await street.control("GET", "/answers"))["answers"]
        assert answer["via"] == ("http" if background else "webhook")
        await bot.delete_webhook()


async def test_wrong_secret_is_refused_by_aiogram(street: Any, bot: Any) -> None:
    """A receiver that expects another secret answers 401, and the update stays."""
    heard: list[Any] = []
    async with _served(_dispatcher(heard), bot, background=False) as url:
        await bot.set_webhook(url, secret_token="another")
        told = await street.control("POST", "/send", chat_id=42, text="/start", wait=0.2)
        assert told["delivered"] is False
        async with asyncio.timeout(60):
            while not (said := (await bot.get_webhook_info()).last_error_message):
                await asyncio.sleep(0.01)
        assert "401" in said
        assert heard == []
        await bot.delete_webhook()
