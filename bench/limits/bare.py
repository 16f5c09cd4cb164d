"""The raw limit: an aiohttp endpoint that reads JSON and answers JSON, and does nothing else."""

import os

import uvloop
from aiohttp import web

ANSWER = {"method": "answerCallbackQuery", "callback_query_id": "", "url": "https://t.me/bot?start=premium"}


async def receive(request: web.Request) -> web.Response:
    """Answer a press."""
    update = await request.json()
    query = update.get("callback_query")
    return web.json_response({**ANSWER, "callback_query_id": query["id"]}) if query else web.Response()


def main() -> None:
    """Serve until stopped."""
    uvloop.install()
    app = web.Application()
    app.router.add_post("/webhook", receive)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)


if __name__ == "__main__":
    main()
