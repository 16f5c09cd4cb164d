"""How far a durable is behind is measured."""

from nats.aio.client import Client
from prometheus_client import REGISTRY

from shared.bus import Bus
from shared.bus.measuring import measure_once
from shared.topology import durable
from tests.shared.bus.conftest import click


async def test_lag_and_age_are_what_nobody_has_handled(bus: Bus, client: Client) -> None:
    """The gauges show how many events wait, and for how long the oldest has."""
    for number in range(3):
        await bus.publish(click(number))
    await measure_once(client, durable("clicks_presses"))
    assert REGISTRY.get_sample_value("consumer_lag", {"consumer": "clicks_presses"}) == 3
    age = REGISTRY.get_sample_value("consumer_oldest_age_seconds", {"consumer": "clicks_presses"})
    assert age is not None
    assert 0 < age < 60
    await measure_once(client, durable("clicks_posts"))
    assert REGISTRY.get_sample_value("consumer_lag", {"consumer": "clicks_posts"}) == 0
