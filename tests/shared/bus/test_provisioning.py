"""Declaring the topology on the real server."""

import dataclasses
from pathlib import Path

from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DiscardPolicy, StreamConfig

from shared.bus.provisioning import Provisioner
from shared.topology import DURABLES, STREAMS
from tests.servers import open_nats


async def test_declaring_twice_changes_nothing(tmp_path: Path) -> None:
    """Preparing is idempotent: the first run adds, the second finds everything as declared."""
    async with open_nats(tmp_path / "nats") as server, Provisioner.open(server.url) as provisioner:
        assert {change.done for change in await provisioner.apply()} == {"added"}
        assert {change.done for change in await provisioner.apply()} == {"unchanged"}


async def test_drift_is_put_right(tmp_path: Path) -> None:
    """P24: a stream or durable that somebody changed is updated to what is declared."""
    async with open_nats(tmp_path / "nats") as server, Provisioner.open(server.url) as provisioner:
        await provisioner.apply()
        client = Client()
        await client.connect(server.url)
        api = client.jetstream()
        await api.update_stream(
            StreamConfig(
                name="CLICKS",
                subjects=["clicks.>"],
                max_bytes=5_000_000,
                allow_direct=True,
                allow_atomic=True,
                discard=DiscardPolicy.OLD,
            )
        )
        await api.add_consumer(
            "CLICKS",
            ConsumerConfig(
                durable_name="clicks_presses", filter_subjects=["clicks.pressed"], ack_wait=5, max_deliver=3
            ),
        )
        changed = {change.name for change in await provisioner.apply() if change.done == "updated"}
        assert changed == {"CLICKS", "clicks_presses"}
        stream = (await api.stream_info("CLICKS")).config
        assert (stream.discard, stream.max_bytes) == (DiscardPolicy.NEW, 1024**3)
        consumer = (await api.consumer_info("CLICKS", "clicks_presses")).config
        assert (consumer.max_deliver, consumer.ack_wait) == (-1, 30)
        await client.close()


async def test_the_topology_avoids_the_known_traps(tmp_path: Path) -> None:
    """P4, P10, P11, P12, P28: as the broker holds it, no stream drops or expires, no durable gives up."""
    async with open_nats(tmp_path / "nats") as server, Provisioner.open(server.url) as provisioner:
        await provisioner.apply()
        client = Client()
        await client.connect(server.url)
        api = client.jetstream()
        for stream in STREAMS:
            config = (await api.stream_info(stream.name)).config
            assert config.duplicate_window == 3600
            assert (config.max_bytes or 0) > 0
            if stream.name != "ADVISORIES":
                assert (config.discard, config.max_age) == (DiscardPolicy.NEW, 0)
                assert config.allow_atomic
        for each in DURABLES:
            consumer = (await api.consumer_info(each.stream, each.name)).config
            assert (consumer.max_deliver, consumer.backoff) == (-1, None)
            assert (consumer.max_ack_pending or 0) >= 2 * each.concurrency * each.batch
            assert (consumer.ack_wait or 0) >= 3 * each.slowest_seconds
        await client.close()


def test_names_of_durables_and_streams_are_unique() -> None:
    """A durable is bound by its name alone."""
    assert len({each.name for each in DURABLES}) == len(DURABLES)
    assert {each.stream for each in DURABLES} <= {stream.name for stream in STREAMS}
    assert dataclasses.is_dataclass(DURABLES[0])
