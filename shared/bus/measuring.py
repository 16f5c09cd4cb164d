"""How far a durable is behind, measured every few seconds: its lag, and the age of what waits longest."""

import asyncio
from datetime import UTC, datetime

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from shared import metrics, telemetry
from shared.topology import Durable

EVERY_SECONDS = 5.0

log = telemetry.logger(__name__)


async def measure(client: Client, durable: Durable) -> None:
    """Set the durable's gauges again and again, until cancelled."""
    while True:
        try:
            await measure_once(client, durable)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            log.debug("lag_unknown", durable=durable.name, error=type(error).__name__)
        await asyncio.sleep(EVERY_SECONDS)


async def measure_once(client: Client, durable: Durable) -> None:
    """Set the durable's gauges to what the broker says now."""
    stream = client.jetstream(timeout=2)
    info = await stream.consumer_info(durable.stream, durable.name)
    lag = (info.num_pending or 0) + (info.num_ack_pending or 0)
    age = 0.0
    if lag and info.ack_floor:
        floor = info.ack_floor.stream_seq
        oldest = await stream.get_msg(durable.stream, seq=floor + 1, subject=durable.subjects[0], next=True)
        if isinstance(oldest.time, datetime):
            age = (datetime.now(UTC) - oldest.time.astimezone(UTC)).total_seconds()
    metrics.CONSUMER_LAG.labels(consumer=durable.name).set(lag)
    metrics.CONSUMER_OLDEST.labels(consumer=durable.name).set(max(0.0, age))
