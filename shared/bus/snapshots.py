"""Copies of whole streams, with their consumers, by the broker's own means (`$JS.API.STREAM.SNAPSHOT`)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats.errors
import nats.js.errors
import orjson
from nats.aio.client import Client

from shared.bus.errors import BusUnavailable

CHUNK_BYTES = 128 * 1024
CHUNK_SECONDS = 30.0


class NotEmpty(Exception):
    """The broker holds events already: a backup is restored into an empty system only."""


class Snapshots:
    """Saves streams into files and restores them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._api = client.jetstream(timeout=10)

    async def save(self, stream: str, file: Path) -> int:
        """Write a stream's snapshot, and beside it what it takes to restore it; return its messages."""
        chunks: asyncio.Queue[Any] = asyncio.Queue()
        subscription = await self._client.subscribe(inbox := self._client.new_inbox(), cb=chunks.put)
        try:
            told = await self._ask(
                f"SNAPSHOT.{stream}", {"deliver_subject": inbox, "chunk_size": CHUNK_BYTES}
            )
            with file.open("wb") as written:
                async for chunk in _until_empty(chunks):
                    await asyncio.to_thread(written.write, chunk)
        finally:
            await subscription.unsubscribe()
        file.with_suffix(".json").write_bytes(
            orjson.dumps({"config": told["config"], "state": told["state"]}, option=orjson.OPT_INDENT_2)
        )
        return int(told["state"]["messages"])

    async def restore(self, stream: str, file: Path) -> int:
        """Make a stream from its snapshot, in the place of an empty one; return its messages.

        Raises NotEmpty.
        """
        try:
            if (await self._api.stream_info(stream)).state.messages:
                raise NotEmpty(stream)
            await self._api.delete_stream(stream)
        except nats.js.errors.NotFoundError:
            pass
        told = orjson.loads(file.with_suffix(".json").read_bytes())
        where = (await self._ask(f"RESTORE.{stream}", told))["deliver_subject"]
        with file.open("rb") as kept:
            while chunk := await asyncio.to_thread(kept.read, CHUNK_BYTES):
                await self._client.request(where, chunk, timeout=CHUNK_SECONDS)
        _checked(orjson.loads((await self._client.request(where, b"", timeout=CHUNK_SECONDS)).data))
        return int((await self._api.stream_info(stream)).state.messages)

    async def _ask(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._client.request(
                f"$JS.API.STREAM.{what}", orjson.dumps(body), timeout=CHUNK_SECONDS
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise BusUnavailable(f"no answer to {what} ({type(error).__name__})") from None
        return _checked(orjson.loads(answer.data))


async def _until_empty(chunks: "asyncio.Queue[Any]") -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(CHUNK_SECONDS):
                message = await chunks.get()
        except TimeoutError:
            raise BusUnavailable("the snapshot stopped coming") from None
        if not message.data:
            status = (message.headers or {}).get("Status", "")
            if status and status != "204":
                raise BusUnavailable(f"the snapshot ended with {status}")
            return
        yield message.data
        # The broker sends more when what it has sent is taken.
        if message.reply:
            await message.respond(b"")


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if error := answer.get("error"):
        raise BusUnavailable(f"the broker refused: {error.get('description')}")
    return answer
