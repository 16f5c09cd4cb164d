"""aiogram behind its own aiohttp request handler, answering in the webhook's response."""

import os

import asyncpg
import uvloop
from aiogram import Bot, Dispatcher, F
from aiogram.methods import AnswerCallbackQuery
from aiogram.types import CallbackQuery, ChatMemberUpdated, Message, Update
from aiogram.webhook.aiohttp_server import SimpleRequestHandler, setup_application
from aiohttp import web

from bench.rivals.storing import TABLE, note, store


async def pressed(query: CallbackQuery, event_update: Update, pool: asyncpg.Pool) -> AnswerCallbackQuery:
    """Store a press and answer it."""
    await store(pool, event_update.update_id, query)
    payload = (query.data or "").split(".")[1]
    return query.answer(url=f"https://t.me/bot?start={payload}")


async def came(part: Message | ChatMemberUpdated, event_update: Update, pool: asyncpg.Pool) -> None:
    """Store an update of another kind."""
    await note(pool, event_update.update_id, part)


async def application() -> web.Application:
    """Return the application, with its pool."""
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"])
    await pool.execute(TABLE)
    dispatcher = Dispatcher(pool=pool)
    dispatcher.callback_query.register(pressed, F.data.startswith("p1."))
    for kind in (dispatcher.message, dispatcher.edited_message, dispatcher.my_chat_member):
        kind.register(came)
    app = web.Application()
    handler = SimpleRequestHandler(
        dispatcher,
        Bot(os.environ["TOKEN"]),
        # In the background the answer would go out before the press is stored.
        handle_in_background=False,
        secret_token=os.environ["SECRET"],
    )
    handler.register(app, path="/webhook")
    setup_application(app, dispatcher)
    return app


def main() -> None:
    """Serve until stopped."""
    uvloop.install()
    web.run_app(application(), host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)


if __name__ == "__main__":
    main()
