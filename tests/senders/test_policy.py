"""What follows from an answer: the table of REQUIREMENTS §3.4 and §3.6, and when a provider is down."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.senders.domain.policy import Again, Circuit, Decision, Finish, Policy, decide
from services.senders.domain.requests import Delivery, Request
from services.senders.domain.sending import Ambiguous, Answer, Later, Migrated, Refused, Sent, Stopped
from shared.events import Address, Body, Channel, Lane, State

POLICY = Policy()
ALERT, PROMO, CAMPAIGN = Lane.TRANSACTIONAL, Lane.PROMO, Lane.CAMPAIGN


def delivery(lane: Lane = ALERT, channel: Channel = Channel.TELEGRAM, **fields: Any) -> Delivery:
    """Return a delivery that was never attempted, with some fields changed."""
    now = datetime.now(UTC)
    request = Request(
        id=uuid4(), lane=lane, channels=(channel,), address=Address(telegram_chat_id=42), body=Body(text="x"),
        expires_at=now + timedelta(hours=1), requested_at=now,
    )  # fmt: skip
    plain = {
        "id": uuid4(), "request": request, "channel": channel, "position": 0, "attempt": 0, "tries": 0,
        "greylists": 0, "faults": 0, "resent": False, "cancelled": False, "paused": False, "behind": 0,
        "trace": None,
    }  # fmt: skip
    return Delivery.model_validate(plain | fields)


@pytest.mark.parametrize(
    ("known", "answer", "expected"),
    [
        ({}, Sent("7"), Finish(State.SENT, provider_message_id="7")),
        ({}, Refused("blocked", suppresses=True), Finish(State.FAILED, "blocked", chain_goes_on=True)),
        ({}, Refused("invalid"), Finish(State.FAILED, "invalid", chain_goes_on=True)),
        ({}, Stopped("unauthorized"), Again(60.0, "unauthorized")),
        ({}, Migrated(-100), Again(0.0, "migrated", counted="try")),
        ({"tries": 3}, Migrated(-100), Finish(State.FAILED, "chat_not_found", chain_goes_on=True)),
        ({}, Later(7.0, "throttled"), Again(7.0, "throttled")),
        ({"tries": 3}, Later(7.0, "throttled"), Again(7.0, "throttled")),
        ({}, Later(None, "throttled"), Again(1.0, "throttled")),
        ({}, Later(None, "no_effect"), Again(1.0, "no_effect", counted="try")),
        ({"tries": 1}, Later(None, "down"), Again(2.0, "down", counted="try")),
        ({"tries": 2}, Later(None, "down"), Again(4.0, "down", counted="try")),
        ({"tries": 3}, Later(None, "down"), Finish(State.FAILED, "unreachable", chain_goes_on=True)),
        ({}, Later(None, "greylisted"), Again(300.0, "greylisted", counted="greylist")),
        ({"greylists": 3}, Later(None, "greylisted"), Again(14_400.0, "greylisted", counted="greylist")),
        ({"greylists": 4}, Later(None, "greylisted"), Finish(State.FAILED, "greylisted", chain_goes_on=True)),
        ({}, Ambiguous("timeout"), Again(0.0, "timeout", counted="resend")),
        ({"resent": True}, Ambiguous("timeout"), Finish(State.AMBIGUOUS, "timeout")),
        ({"lane": PROMO}, Ambiguous("timeout"), Finish(State.AMBIGUOUS, "timeout")),
        ({"lane": CAMPAIGN}, Ambiguous("server_error"), Finish(State.AMBIGUOUS, "server_error")),
        ({"lane": CAMPAIGN, "channel": Channel.PUSH}, Ambiguous("timeout"), Again(1.0, "timeout")),
    ],
)
def test_what_follows_from_an_answer(known: Any, answer: Answer, expected: Decision) -> None:
    """Every answer ends a delivery, lets it wait, or resends it, by its lane and by what was tried."""
    assert decide(delivery(**known), answer, POLICY, provider_down=False) == expected


@pytest.mark.parametrize("tries", [0, 3])
@pytest.mark.parametrize("kind", ["no_effect", "down"])
def test_a_provider_that_is_down_costs_no_try(tries: int, kind: Any) -> None:
    """While the provider counts as down a delivery waits uncounted, however often it has tried."""
    answer = Later(None, kind)
    assert decide(delivery(tries=tries), answer, POLICY, provider_down=True) == Again(5.0, "provider_down")


def test_several_deliveries_make_a_provider_down() -> None:
    """One delivery that fails often says little; three different ones say that the provider is down."""
    circuit, away = Circuit(), Later(None, "down")
    for _ in range(5):
        circuit.saw("email", "one", away)
    circuit.saw("email", "two", away)
    assert not circuit.is_down("email")
    circuit.saw("email", "three", away)
    assert circuit.is_down("email")
    assert not circuit.is_down("push")


@pytest.mark.parametrize(
    "answer", [Sent("7"), Refused("blocked"), Later(1.0, "throttled"), Ambiguous("timeout")]
)
def test_any_answer_of_its_own_shows_a_provider_up(answer: Answer) -> None:
    """A provider that says anything is there again."""
    circuit = Circuit()
    for name in ("one", "two", "three"):
        circuit.saw("email", name, Later(None, "no_effect"))
    circuit.saw("email", "four", answer)
    assert not circuit.is_down("email")


def test_the_circuit_remembers_a_bounded_number() -> None:
    """A long outage fills no memory."""
    circuit = Circuit()
    for number in range(1000):
        circuit.saw("email", str(number), Later(None, "down"))
    assert len(circuit.failed["email"]) == circuit.failures_needed
