"""python-telegram-bot with Starlette and uvicorn, as in its example of a custom webhook."""

import hmac
import os
from http import HTTPStatus

import asyncpg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from telegram import Update
from telegram.ext import Application, CallbackQueryHandler, ContextTypes, TypeHandler

from bench.rivals.storing import TABLE, note, store


async def pressed(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Store a press."""
    await store(context.bot_data["pool"], update.update_id, update.callback_query)


async def came(update: Update, context: ContextTypes.DEFAULT_TYPE) -> None:
    """Store an update of another kind."""
    part = update.message or update.edited_message or update.my_chat_member
    await note(context.bot_data["pool"], update.update_id, part)


async def main() -> None:
    """Serve until stopped."""
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"])
    await pool.execute(TABLE)
    application = (
        Application.builder()
        .token(os.environ["TOKEN"])
        .base_url(f"{os.environ['TELEGRAM_API_URL']}/bot")
        .updater(None)
        .build()
    )
    application.bot_data["pool"] = pool
    application.add_handler(CallbackQueryHandler(pressed, pattern=r"^p1\."))
    application.add_handler(TypeHandler(Update, came))
    secret = os.environ["SECRET"]

    async def receive(request: Request) -> Response:
        given = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        if not hmac.compare_digest(given, secret):
            return Response(status_code=HTTPStatus.FORBIDDEN)
        update = Update.de_json(data=await request.json(), bot=application.bot)
        # The example puts it into a queue, and answers before the press is stored.
        await application.process_update(update)
        query = update.callback_query
        if query is None or query.data is None:
            return Response()
        url = f"https://t.me/bot?start={query.data.split('.')[1]}"
        return JSONResponse({"method": "answerCallbackQuery", "callback_query_id": query.id, "url": url})

    app = Starlette(routes=[Route("/webhook", receive, methods=["POST"])])
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
    async with application:
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main())
