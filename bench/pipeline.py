"""The pipeline of senders with limits lifted, from the stream to a provider that answers at once."""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from statistics import median
from uuid import UUID

import asyncpg
import nats
import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nats.js import JetStreamContext

from bench.figures import Figure, Row, Target, ratios
from bench.limits.posting import Posting
from bench.machine import family, processor_seconds
from bench.street import command, process, stack
from carillon.up.outside import get
from carillon.up.running import Stack
from devstack.servers import free_port
from shared import ids
from shared.bus import Bus
from shared.events import Address, Channel, Lane, MessageRequested

MESSAGES = {Channel.TELEGRAM: 4000, Channel.EMAIL: 2000, Channel.PUSH: 4000}
PROMISED = {Channel.TELEGRAM: 500, Channel.EMAIL: 200, Channel.PUSH: 500}
AT_ONCE = {Channel.TELEGRAM: 32, Channel.EMAIL: 16, Channel.PUSH: 32}
"""How many the bare loop posts at once."""
PUBLISHED_AT_ONCE = 1000
SECONDS = 120.0
ASK_SECONDS = 0.05
STREAM = "CAMPAIGN"
LATER, NOW = "2200-01-01T00:00:00Z", "2000-01-01T00:00:00Z"
VARIABLES = {
    "instrument": "EURUSD", "side": "sell", "entry_price": "1.0845", "current_price": "1.0912",
    "loss_amount": "67.00",
}  # fmt: skip
HOW = (
    "Requests for a templated message, each to somebody else, lie in the stream; the durable of one senders "
    "process with its limits lifted is let go, and the clock stops when every outcome is told. Each is "
    "rendered, checked, claimed, sent, answered and told, in databases and streams that sync. The provider "
    "takes everything at once. The bare loop posts one ready message again and again, and keeps no books. "
    "Beside the rate: the microseconds that senders, and PostgreSQL, compute per message; a core of its own "
    "would take 1,000,000 / senders' microseconds a second."
)
WHY = (
    "On two cores senders shares with PostgreSQL, the broker and the provider: what it computes per message "
    "says what it does with a core of its own."
)

_PEOPLE = """
    INSERT INTO recipients (user_id, version, announced, opted_out)
    SELECT unnest($1::uuid[]), 1, 1, false"""
_BROWSERS = """
    INSERT INTO push_subscriptions (endpoint, user_id, p256dh, auth)
    SELECT $2 || user_id, user_id, $3, $4 FROM unnest($1::uuid[]) AS user_id"""
_TOLD = "SELECT count(*) FROM deliveries WHERE channel = $1 AND state = 'sent' AND announced"


@dataclass
class Provider:
    """Where the instant provider listens."""

    port: int
    smtp_port: int

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Runs:
    """What a channel achieved, round by round."""

    rates: list[float] = field(default_factory=list)
    senders: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_microseconds: list[float] = field(default_factory=list)

    def rows(self, channel: Channel) -> list[Row]:
        """Return its lines of the table."""
        ours = f"senders {median(self.senders):,.0f} µs, PostgreSQL {median(self.postgres):,.0f} µs"
        return [
            Row(f"{channel}: Carillon's senders", "messages/s", self.rates, ours),
            Row(f"{channel}: a bare loop that only posts", "messages/s", self.bare,
                f"{median(self.bare_microseconds):,.0f} µs"),
        ]  # fmt: skip


async def measure(rounds: int) -> Figure:
    """Let senders and bare loops run in turn, several times."""
    runs = {channel: Runs() for channel in Channel}
    async with _provider() as provider:
        settings = {
            "SEND_LIMITS": "off", "TELEGRAM_API_URL": provider.url, "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(provider.smtp_port), "SMTP_TLS": "none", "SMTP_CONNECTIONS": "16",
            "PUSH_HTTP_HOSTS": "127.0.0.1",
        }  # fmt: skip
        async with stack("senders", settings=settings) as opened:
            for number in range(rounds):
                for channel, found in runs.items():
                    await _ours(opened, provider, channel, number, found)
                    await _bare(provider, channel, found)
    rows = [row for channel, found in runs.items() for row in found.rows(channel)]
    targets = [
        Target(f"{channel}: messages a second", found.rates, PROMISED[channel], why=WHY)
        for channel, found in runs.items()
    ]
    targets += [
        Target(f"{channel}: messages a second for which senders computes", _on_a_core(found.senders),
               PROMISED[channel])
        for channel, found in runs.items()
    ]  # fmt: skip
    rows += [
        Row(f"{channel}: of the bare loop", "", ratios(found.rates, found.bare))
        for channel, found in runs.items()
    ]
    return Figure("The pipeline of senders", HOW, rows, targets)


def _on_a_core(microseconds: Sequence[float]) -> list[float]:
    return [1e6 / each for each in microseconds]


@asynccontextmanager
async def _provider() -> AsyncIterator[Provider]:
    smtp_port = free_port()
    async with process("bench.limits.provider", {"SMTP_PORT": str(smtp_port)}) as found:
        yield Provider(found.port, smtp_port)


async def _ours(opened: Stack, provider: Provider, channel: Channel, number: int, runs: Runs) -> None:
    count, durable = MESSAGES[channel], f"senders_campaign_{channel}"
    people = [ids.derived("bench", channel, number, each) for each in range(count)]
    senders = await asyncpg.connect(opened.system.database_url("senders"))
    client = await nats.connect(opened.outside.nats_url)
    stream = client.jetstream()
    if channel is Channel.PUSH:
        await senders.execute(_PEOPLE, people)
        await senders.execute(_BROWSERS, people, f"{provider.url}/push/", *_keys())
    await stream.pause_consumer(STREAM, durable, LATER)
    await _publish(opened, [_request(channel, number, each) for each in range(count)])
    process_id, server = opened.processes.pids["senders"][0], opened.outside.pids["postgres"][0]
    computed, base = processor_seconds(process_id), family(server)
    took = await _through(stream, senders, channel, durable, (number + 1) * count)
    runs.rates.append(count / took)
    runs.senders.append(1e6 * (processor_seconds(process_id) - computed) / count)
    runs.postgres.append(1e6 * (family(server) - base) / count)
    taken = (await get(provider.url, "/counts"))[channel]
    await client.close()
    await senders.close()
    if taken < count:
        raise RuntimeError(f"the provider took {taken}, not {count}")


async def _through(
    stream: JetStreamContext, senders: asyncpg.Connection, channel: Channel, durable: str, told: int
) -> float:
    """Let the durable go and wait until all are told; return how many seconds that took."""
    began = time.perf_counter()
    await stream.pause_consumer(STREAM, durable, NOW)
    async with asyncio.timeout(SECONDS):
        while await senders.fetchval(_TOLD, channel) < told:
            await asyncio.sleep(ASK_SECONDS)
    return time.perf_counter() - began


async def _bare(provider: Provider, channel: Channel, runs: Runs) -> None:
    address = {
        Channel.TELEGRAM: f"{provider.url}/bot123:bench/sendMessage",
        Channel.PUSH: f"{provider.url}/push/bare",
        Channel.EMAIL: "",
    }[channel]
    task = Posting(channel=channel.value, url=address, smtp_port=provider.smtp_port, body=_ready(channel),
                   count=2 * MESSAGES[channel], at_once=AT_ONCE[channel])  # fmt: skip
    said = orjson.loads(await command("bench.limits.posting", task.model_dump_json().encode()))
    runs.bare.append(said["rate"])
    runs.bare_microseconds.append(said["microseconds"])


def _ready(channel: Channel) -> str:
    """Return a message of the same size, ready to be posted."""
    match channel:
        case Channel.TELEGRAM:
            return orjson.dumps({"chat_id": 1, "text": "x" * 400, "parse_mode": "MarkdownV2"}).decode()
        case Channel.PUSH:
            return "x" * 400
        case Channel.EMAIL:
            return "Subject: bench\r\n\r\n" + "x" * 60 * 80


def _request(channel: Channel, number: int, each: int) -> MessageRequested:
    now = datetime.now(UTC)
    user_id: UUID | None = None
    address: Address | None = None
    match channel:
        case Channel.TELEGRAM:
            address = Address(telegram_chat_id=1_000_000 * (number + 1) + each)
        case Channel.EMAIL:
            address = Address(email=f"somebody-{number}-{each}@example.com")
        case Channel.PUSH:
            user_id = ids.derived("bench", channel, number, each)
    return MessageRequested(
        id=ids.derived("bench.message", channel, number, each), at=now, lane=Lane.CAMPAIGN,
        channels=(channel,), user_id=user_id, address=address, template="position_failure_sl",
        variables={**VARIABLES, "broker_ticket": str(each)}, expires_at=now + timedelta(hours=1),
    )  # fmt: skip


async def _publish(opened: Stack, requests: Sequence[MessageRequested]) -> None:
    waiting = iter(requests)
    async with Bus.open(opened.outside.nats_url, service="bench") as bus:
        while some := list(islice(waiting, PUBLISHED_AT_ONCE)):
            await asyncio.gather(*(bus.publish(request, seconds=30) for request in some))


def _keys() -> tuple[str, str]:
    """Return a browser's public key and secret."""
    point = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    public, secret = (
        base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in (point, os.urandom(16))
    )
    return public, secret
