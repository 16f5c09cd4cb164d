"""Publishing against the real server: what a PubAck means, and what happens without one."""

import asyncio
import dataclasses

import pytest
from nats.aio.client import Client

from shared import tasks, topology
from shared.bus import Bus, BusUnavailable, TooLarge
from shared.bus.provisioning import Provisioner
from shared.events import ButtonClicked
from tests.servers import AnyNats
from tests.shared.bus.conftest import click


async def _count(client: Client, stream: str = "CLICKS") -> int:
    return (await client.jetstream().stream_info(stream)).state.messages


async def test_published_twice_is_stored_once(bus: Bus, client: Client) -> None:
    """Law 2: publishing twice is publishing once."""
    event = click()
    await bus.publish(event)
    await bus.publish(event)
    assert await _count(client) == 1


async def test_many_at_once_are_grouped_and_all_stored(bus: Bus, client: Client) -> None:
    """What waits is committed in atomic batches, and every waiter is answered when its commit is."""
    events = [click(number) for number in range(2_000)]
    await asyncio.gather(*(bus.publish(event) for event in events))
    assert await _count(client) == 2_000


async def test_what_is_published_at_once_is_one_commit(bus: Bus, client: Client) -> None:
    """Events of one turn of the loop share a sync: nobody goes first alone."""
    await asyncio.gather(*(bus.publish(click(number)) for number in range(100)))
    stream = client.jetstream()
    batches = [(await stream.get_msg("CLICKS", seq=number)).headers for number in range(1, 101)]
    assert len({(headers or {}).get("Nats-Batch-Id") for headers in batches}) == 1


async def test_a_few_events_are_no_batch(bus: Bus, client: Client) -> None:
    """Staging a batch costs the broker more than syncing a few events: the few do not wait for it."""
    await asyncio.gather(*(bus.publish(click(number)) for number in range(4)))
    stream = client.jetstream()
    headers = [(await stream.get_msg("CLICKS", seq=number)).headers or {} for number in range(1, 5)]
    assert not any("Nats-Batch-Id" in each for each in headers)


async def test_a_duplicate_inside_a_batch_refuses_nobody_else(bus: Bus, client: Client) -> None:
    """A duplicate id rejects a whole batch (10201): the batch is then published one by one."""
    old = click()
    await bus.publish(old)
    events = [click(number) for number in range(50)]
    await asyncio.gather(*(bus.publish(event) for event in [*events[:25], old, *events[25:]]))
    assert await _count(client) == 51


async def test_the_same_event_many_times_at_once_is_stored_once(bus: Bus, client: Client) -> None:
    """A repeat of an event that still waits does not break the batch it waits in."""
    event = click()
    await asyncio.gather(*(bus.publish(event) for _ in range(100)))
    assert await _count(client) == 1


class Nowhere(ButtonClicked):
    """A press on a subject that no stream takes: it is published again until its time is over."""

    def subject(self) -> str:
        """Return a subject of no stream."""
        return "nowhere.pressed"


async def test_a_stream_waits_for_no_other(bus: Bus, client: Client) -> None:
    """What one stream does not take holds up nothing that another one would."""
    lost = []
    for number in range(8):
        stuck = Nowhere.model_validate(click(number).model_dump())
        lost.append(asyncio.create_task(bus.publish(stuck, seconds=30)))
        await asyncio.sleep(0.01)
    await bus.publish(click(), seconds=10)
    assert await _count(client) == 1
    assert not any(task.done() for task in lost)
    await tasks.cancel(*lost)


async def test_too_large_is_refused_before_the_broker_hangs_up(bus: Bus, client: Client) -> None:
    """P: a payload over max_payload makes the server close the connection with all that is in flight."""
    neighbours = [asyncio.create_task(bus.publish(click(number))) for number in range(20)]
    with pytest.raises(TooLarge):
        await bus.publish(click(metadata={"text": "x" * (1024 * 1024)}))
    await asyncio.gather(*neighbours)
    assert await _count(client) == 20


async def test_without_a_broker_it_is_unavailable_and_stored_at_most_once_later(
    bus: Bus, broker: AnyNats
) -> None:
    """P22: a time-out means unknown; what was buffered arrives under the same id when the broker is back."""
    await bus.publish(click())
    await broker.kill()
    event = click()
    with pytest.raises(BusUnavailable):
        await bus.publish(event, seconds=0.5)
    await broker.restart()
    await bus.publish(event)
    bare = Client()
    await bare.connect(broker.url)
    assert await _count(bare) == 2
    await bare.close()


async def test_acknowledged_events_survive_a_killed_broker(bus: Bus, broker: AnyNats) -> None:
    """P1: a PubAck means that the event is on disk."""
    await asyncio.gather(*(bus.publish(click(number)) for number in range(300)))
    await broker.kill()
    await broker.restart()
    bare = Client()
    await bare.connect(broker.url)
    assert await _count(bare) == 300
    await bare.close()


async def test_publishing_waits_out_a_restart_of_the_broker(bus: Bus, broker: AnyNats) -> None:
    """P23: a publish that meets a restart is repeated with the same id until its time is up."""
    await broker.kill()
    publishing = asyncio.create_task(bus.publish(click(), seconds=60))
    await asyncio.sleep(0.2)
    await broker.restart()
    await publishing


async def test_a_full_stream_refuses_and_the_others_go_on(broker: AnyNats, bus: Bus) -> None:
    """P28: a full stream refuses clearly and drops nothing; other streams are not concerned."""
    small = [
        dataclasses.replace(stream, max_bytes=2_000) if stream.name == "CLICKS" else stream
        for stream in topology.STREAMS
    ]
    async with Provisioner.open(broker.url) as provisioner:
        await provisioner.apply(small, [])
    first = click()
    await bus.publish(first)
    with pytest.raises(BusUnavailable):
        await asyncio.gather(*(bus.publish(click(number)) for number in range(20)))
    await bus.publish(first)  # a repeat of what is stored is still a duplicate, not a refusal
