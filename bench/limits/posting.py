"""The raw limit of sending: a bare loop that posts the same message, and keeps no books.

Reads one `Posting` as JSON and writes the messages per second and the microseconds that each took to compute.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Literal

import aiohttp
import orjson
import uvloop
from aiosmtplib import SMTP
from pydantic import BaseModel

SENDER, RECIPIENT = "carillon@example.com", "ada@example.com"
Post = Callable[[], Awaitable[None]]


class Posting(BaseModel):
    """What is to be posted where, how often, and how many at once."""

    channel: Literal["telegram", "email", "push"]
    url: str
    smtp_port: int
    body: str
    count: int
    at_once: int


async def post(task: Posting) -> dict[str, float]:
    """Post everything; return how many a second, and what each cost."""
    async with AsyncExitStack() as stack:
        posts = await (_letters if task.channel == "email" else _requests)(task, stack)
        left = iter(range(task.count))

        async def work(one: Post) -> None:
            for _ in left:
                await one()

        began, computed = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(one) for one in posts))
        took, computed = time.perf_counter() - began, time.process_time() - computed
    return {"rate": task.count / took, "microseconds": 1e6 * computed / task.count}


async def _requests(task: Posting, stack: AsyncExitStack) -> list[Post]:
    session = await stack.enter_async_context(aiohttp.ClientSession())
    headers, body = {"Content-Type": "application/json"}, task.body.encode()

    async def one() -> None:
        async with session.post(task.url, data=body, headers=headers) as answer:
            await answer.read()

    return [one] * task.at_once


async def _letters(task: Posting, stack: AsyncExitStack) -> list[Post]:
    return [await _letter(task, stack) for _ in range(task.at_once)]


async def _letter(task: Posting, stack: AsyncExitStack) -> Post:
    line = SMTP(hostname="127.0.0.1", port=task.smtp_port, start_tls=False)
    await stack.enter_async_context(line)

    async def one() -> None:
        await line.sendmail(SENDER, [RECIPIENT], task.body)

    return one


def main() -> None:
    """Read a task and say how fast it was done."""
    task = Posting.model_validate_json(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(post(task))))


if __name__ == "__main__":
    main()
