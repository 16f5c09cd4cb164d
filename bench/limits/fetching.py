"""The raw limit of consuming: fetch and ack what lies in a stream, and look at none of it.

Reads one `Fetching` as JSON and writes the messages per second.
"""

import sys
import time

import nats
import uvloop
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from pydantic import BaseModel

BATCH = 500


class Fetching(BaseModel):
    """Which messages are to be fetched: so many of a stream, from this sequence on."""

    nats_url: str
    stream: str
    first_sequence: int
    count: int


async def fetch(task: Fetching) -> float:
    """Fetch and ack every message; return how many a second."""
    client = await nats.connect(task.nats_url)
    stream = client.jetstream()
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=task.first_sequence,
        ack_policy=AckPolicy.EXPLICIT,
        max_ack_pending=4 * BATCH,
        inactive_threshold=60,
    )
    info = await stream.add_consumer(task.stream, config)
    subscription = await stream.pull_subscribe_bind(info.name, task.stream)
    left, began = task.count, time.perf_counter()
    while left > 0:
        for message in await subscription.fetch(min(BATCH, left), timeout=5):
            await message.ack()
            left -= 1
    await client.flush()
    took = time.perf_counter() - began
    await stream.delete_consumer(task.stream, info.name)
    await client.close()
    return task.count / took


def main() -> None:
    """Read a task and say how fast it was done."""
    task = Fetching.model_validate_json(sys.stdin.buffer.read())
    sys.stdout.write(str(uvloop.run(fetch(task))))


if __name__ == "__main__":
    main()
