"""Flood control: the limits by themselves, and over HTTP."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.telegram.flood import Flood, Rules
from devstack.telegram.refusals import Refused

GAPS = st.lists(st.floats(0, 5), min_size=1, max_size=120)


def _admitted(flood: Flood, gaps: list[float], *, private: bool) -> list[float]:
    now, passed = 1000.0, []
    for gap in gaps:
        now += gap
        with suppress(Refused):
            flood.admit(1, 42 if private else -42, private=private, paid=False, now=now)
            passed.append(now)
    return passed


@given(GAPS)
def test_group_never_gets_more_than_20_in_60_seconds(gaps: list[float]) -> None:
    """However messages come, no window of 60 s of a group holds more than 20."""
    passed = _admitted(Flood(Rules()), gaps, private=False)
    for first, last in zip(passed, passed[20:], strict=False):
        assert last - first >= 60


@given(GAPS)
def test_private_chat_gets_one_a_second_and_a_burst(gaps: list[float]) -> None:
    """However messages come, any window of t seconds of a private chat holds at most t + 3."""
    passed = _admitted(Flood(Rules()), gaps, private=True)
    for place, first in enumerate(passed):
        for count, last in enumerate(passed[place:], start=1):
            assert count <= last - first + 3 + 1e-6


def test_waiting_for_retry_after_helps() -> None:
    """After a refusal the chat is refused until retry_after has passed, and not longer."""
    flood = Flood(Rules())
    for _ in range(3):
        flood.admit(1, 42, private=True, paid=False, now=0.0)
    with pytest.raises(Refused) as refused:
        flood.admit(1, 42, private=True, paid=False, now=0.1)
    assert refused.value.parameters == {"retry_after": 1}
    with pytest.raises(Refused):
        flood.admit(1, 42, private=True, paid=False, now=1.05)
    assert flood.admit(1, 42, private=True, paid=False, now=1.1) == 0
    assert flood.admit(1, 43, private=True, paid=False, now=1.1) == 0


def test_paid_broadcast_has_its_own_limit() -> None:
    """allow_paid_broadcast lifts the limit over all chats to a thousand a second."""
    flood = Flood(Rules())
    for chat in range(30):
        flood.admit(1, chat + 1, private=True, paid=False, now=0.0)
    with pytest.raises(Refused):
        flood.admit(1, 99, private=True, paid=False, now=0.0)
    assert flood.admit(1, 98, private=True, paid=True, now=0.0) == 0
    assert flood.admit(2, 99, private=True, paid=False, now=0.0) == 0


def test_hidden_waits_are_held_in_turn() -> None:
    """With hidden waits a message is held rather than refused, each behind the one before."""
    flood = Flood(Rules(hidden_seconds=8))
    holds = [flood.admit(1, 42, private=True, paid=False, now=0.0) for _ in range(11)]
    assert holds == pytest.approx([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    with pytest.raises(Refused) as refused:
        flood.admit(1, 42, private=True, paid=False, now=0.0)
    assert refused.value.parameters == {"retry_after": 9}


async def test_refusal_says_when_in_body_and_header_and_sends_nothing(street: Any) -> None:
    """A 429 has retry_after in its parameters and as a header, and no effect."""
    for _ in range(3):
        await street.result("sendMessage", chat_id=42, text="x")
    url = f"{street.telegram.api_url}/bot{street.token}/sendMessage"
    async with street.http.post(url, json={"chat_id": 42, "text": "x"}) as response:
        told = await response.json()
    assert response.status == 429
    assert told == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 1",
        "parameters": {"retry_after": 1},
    }
    assert response.headers["Retry-After"] == "1"
    assert len((await street.control("GET", "/sent"))["sent"]) == 3
    assert (await street.control("GET", "/counters"))["too_many_requests"] == 1
    await street.control("POST", "/clock", advance=1)
    await street.result("sendMessage", chat_id=42, text="x")


async def test_limits_can_be_changed_and_switched_off(street: Any) -> None:
    """The control API changes single limits and keeps the others; switched off, all passes."""
    told = await street.control("POST", "/flood", private_burst=1)
    assert (told["private_burst"], told["group_count"]) == (1, 20)
    await street.result("sendMessage", chat_id=42, text="x")
    assert (await street.refusal("sendMessage", chat_id=42, text="x"))[0] == 429
    await street.control("POST", "/flood", enabled=False)
    for _ in range(40):
        await street.result("sendMessage", chat_id=42, text="x")


async def test_hidden_wait_holds_the_answer(street: Any) -> None:
    """In the hidden mode a flooded send takes its time and succeeds."""
    await street.control("POST", "/flood", hidden_seconds=8, private_burst=1, private_rate=5)
    started = time.monotonic()
    await asyncio.gather(*(street.result("sendMessage", chat_id=42, text="x") for _ in range(3)))
    assert 0.35 <= time.monotonic() - started < 60
