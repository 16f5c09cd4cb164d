"""Declaring the topology: streams and durables are added or updated until they are as declared."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig

from shared.bus.errors import BusUnavailable
from shared.topology import DURABLES, STREAMS, Durable, Stream, durable_config, stream_config


@dataclass(frozen=True)
class Change:
    """What was done to one stream or durable: `added`, `updated`, or `unchanged`."""

    kind: str
    name: str
    done: str


class Provisioner:
    """Makes a broker hold the declared topology; running it twice is running it once."""

    def __init__(
        self, stream_api: JetStreamContext, *, replicas: int, ack_wait_seconds: float | None
    ) -> None:
        self._api = stream_api
        self._replicas = replicas
        self._ack_wait_seconds = ack_wait_seconds

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, replicas: int = 1, ack_wait_seconds: float | None = None
    ) -> AsyncIterator["Provisioner"]:
        """Connect for the time of the work; `ack_wait_seconds` shortens every durable's, for tests.

        Raises BusUnavailable when there is no connection.
        """
        client = Client()
        try:
            await client.connect(
                url, name="prepare", connect_timeout=2, max_reconnect_attempts=1, error_cb=_keep_silent
            )
        except (nats.errors.Error, OSError) as error:
            raise BusUnavailable(f"no connection to the broker ({type(error).__name__})") from None
        try:
            yield cls(client.jetstream(timeout=10), replicas=replicas, ack_wait_seconds=ack_wait_seconds)
        finally:
            await client.close()

    async def apply(
        self, streams: Sequence[Stream] = STREAMS, durables: Sequence[Durable] = DURABLES
    ) -> list[Change]:
        """Add or update everything that is declared; return what was done."""
        changes = [await self._stream(stream) for stream in streams]
        return changes + [await self._durable(each) for each in durables]

    async def _stream(self, stream: Stream) -> Change:
        wanted = stream_config(stream, replicas=self._replicas)
        try:
            held = (await self._api.stream_info(stream.name)).config
        except nats.js.errors.NotFoundError:
            await self._api.add_stream(wanted)
            return Change("stream", stream.name, "added")
        if _holds(held, wanted):
            return Change("stream", stream.name, "unchanged")
        await self._api.update_stream(wanted)
        return Change("stream", stream.name, "updated")

    async def _durable(self, each: Durable) -> Change:
        wanted = durable_config(each, ack_wait_seconds=self._ack_wait_seconds)
        try:
            held = (await self._api.consumer_info(each.stream, each.name)).config
        except nats.js.errors.NotFoundError:
            await self._api.add_consumer(each.stream, wanted)
            return Change("durable", each.name, "added")
        if _holds(held, wanted):
            return Change("durable", each.name, "unchanged")
        await self._api.add_consumer(each.stream, wanted)
        return Change("durable", each.name, "updated")


async def _keep_silent(_error: Exception) -> None:
    """Leave the telling to the exception: nats-py would log a traceback as well."""


def _holds(held: StreamConfig | ConsumerConfig, wanted: StreamConfig | ConsumerConfig) -> bool:
    """Say whether the broker's configuration has every field as declared (it adds defaults of its own)."""
    is_so = asdict(held)
    if subjects := is_so.get("filter_subject"):
        is_so["filter_subjects"] = [subjects]
    return all(
        _plain(is_so.get(field)) == _plain(value)
        for field, value in asdict(wanted).items()
        if value is not None
    )


def _plain(value: object) -> object:
    if isinstance(value, list):
        return sorted(str(each) for each in value)
    return getattr(value, "value", value) or None
