"""The push service's faults, as an application server sees them."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import requests

from devstack.push import PushService

Json = dict[str, Any]
Subscribe = Callable[..., Awaitable[dict[str, Any]]]
Send = Callable[..., Awaitable[requests.Response]]


async def test_a_status_is_given_as_told(
    push: PushService, http: aiohttp.ClientSession, subscribe: Subscribe, send: Send
) -> None:
    """A status fault answers with it and its Retry-After, for its subscription only, as often as asked."""
    ann, bob = await subscribe(), await subscribe()
    fault = {"kind": "status", "status": 429, "retry_after": 7, "subscription": ann["id"], "times": 2}
    await http.post(f"{push.control_url}/faults", json=fault)
    assert (await send(bob)).status_code == 201
    limited = await send(ann)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert [(await send(ann)).status_code for _ in range(2)] == [429, 201]
    counters = await (await http.get(f"{push.control_url}/counters")).json()
    assert counters["answers"] == {"201": 2, "429": 2}
    assert (counters["requests"], counters["accepted"], counters["faults"]) == (4, 2, 2)


@pytest.mark.parametrize(("kind", "taken"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_connection_drops_before_or_after_the_effect(
    push: PushService, http: aiohttp.ClientSession, subscribe: Subscribe, send: Send, *, kind: str, taken: int
) -> None:
    """The sender sees a lost connection either way; only after the effect the browser has the message."""
    subscription = await subscribe()
    await http.post(f"{push.control_url}/faults", json={"kind": kind})
    with pytest.raises(requests.ConnectionError):
        await send(subscription)
    assert len(push.memory.messages) == taken


async def test_slowness_delays_and_changes_nothing(
    push: PushService, http: aiohttp.ClientSession, subscribe: Subscribe, send: Send
) -> None:
    """A slow service answers after the seconds asked for, and takes the message."""
    subscription = await subscribe()
    await http.post(f"{push.control_url}/faults", json={"kind": "slow", "seconds": 0.3})
    before = time.monotonic()
    assert (await send(subscription)).status_code == 201
    assert time.monotonic() - before >= 0.3


async def test_repeats_are_counted_by_topic_and_reset_forgets(
    push: PushService, http: aiohttp.ClientSession, subscribe: Subscribe, send: Send
) -> None:
    """A topic seen twice is a repeat; reset forgets all but the subscriptions; DELETE withdraws faults."""
    subscription = await subscribe()
    for _ in range(2):
        await send(subscription, headers={"Topic": "one"})
    assert push.memory.counts()["repeated"] == 1
    await http.post(f"{push.control_url}/faults", json={"kind": "status", "status": 500, "times": None})
    assert (await (await http.delete(f"{push.control_url}/faults")).json()) == {"faults": []}
    counters = await (await http.post(f"{push.control_url}/reset")).json()
    assert (counters["requests"], counters["accepted"], counters["repeated"]) == (0, 0, 0)
    assert (await send(subscription)).status_code == 201
    [listed] = (await (await http.get(f"{push.control_url}/subscriptions")).json())["subscriptions"]
    assert listed["id"] == subscription["id"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "status"}, "status"),
        ({"kind": "slow"}, "seconds"),
        ({"kind": "slow", "seconds": 1, "retry_after": 1}, "retry_after"),
        ({"kind": "reset_before", "status": 500}, "status"),
        ({"kind": "reset_before", "times": 0}, "times"),
        ({"kind": "flood"}, "kind"),
    ],
)
async def test_a_senseless_fault_is_refused(
    push: PushService, http: aiohttp.ClientSession, fault: Json, said: str
) -> None:
    """What cannot happen is refused with 400, naming what is wrong."""
    answer = await http.post(f"{push.control_url}/faults", json=fault)
    assert answer.status == 400
    assert said in (await answer.json())["error"]
