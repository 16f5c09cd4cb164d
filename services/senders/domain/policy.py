"""What follows from a channel's answer: an end, another try, a resend, or the next channel of the chain."""

from dataclasses import dataclass, field
from typing import Literal

from services.senders.domain.requests import Delivery
from services.senders.domain.sending import Ambiguous, Answer, Later, Migrated, Refused, Sent, Stopped
from shared.events import Channel, Lane, State

LANE_RANK = {Lane.TRANSACTIONAL: 0, Lane.PROMO: 1, Lane.CAMPAIGN: 2}

MIGRATIONS = 3
"""A chat that moves more often than this during one delivery moves in a circle."""


@dataclass(frozen=True)
class Policy:
    """The numbers of retrying, in seconds."""

    no_effect_seconds: tuple[float, ...] = (1.0, 2.0, 4.0)
    greylist_seconds: tuple[float, ...] = (300.0, 900.0, 3600.0, 14_400.0)
    unforeseen_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    down_seconds: float = 5.0
    stopped_seconds: float = 60.0
    throttled_seconds: float = 1.0


@dataclass(frozen=True)
class Finish:
    """The delivery ends; `chain_goes_on` when the next channel may be tried."""

    state: State
    reason: str | None = None
    provider_message_id: str | None = None
    chain_goes_on: bool = False


@dataclass(frozen=True)
class Again:
    """The delivery waits; `counted` says which of its counters rises."""

    seconds: float
    reason: str
    counted: Literal["try", "greylist", "resend"] | None = None


Decision = Finish | Again


def decide(delivery: Delivery, answer: Answer, policy: Policy, *, provider_down: bool) -> Decision:
    """Decide what follows from an answer."""
    match answer:
        case Sent(provider_message_id):
            return Finish(State.SENT, provider_message_id=provider_message_id)
        case Refused(reason):
            return Finish(State.FAILED, reason, chain_goes_on=True)
        case Migrated():
            return _moved(delivery)
        case Stopped(reason):
            return Again(policy.stopped_seconds, reason)
        case Ambiguous(reason):
            return in_doubt(delivery, reason)
        case Later():
            return _later(delivery, answer, policy, provider_down=provider_down)


def _moved(delivery: Delivery) -> Decision:
    if delivery.tries >= MIGRATIONS:
        return Finish(State.FAILED, "chat_not_found", chain_goes_on=True)
    return Again(0.0, "migrated", counted="try")


def in_doubt(delivery: Delivery, reason: str) -> Decision:
    """Decide about a send that may have happened, by its lane's policy.

    A repeated push is harmless. A transactional message is sent once more, marked as a possible
    duplicate. Promos and campaigns are never sent again.
    """
    if delivery.channel is Channel.PUSH:
        return Again(1.0, reason)
    if delivery.request.lane is Lane.TRANSACTIONAL and not delivery.resent:
        return Again(0.0, reason, counted="resend")
    return Finish(State.AMBIGUOUS, reason)


def _later(delivery: Delivery, answer: Later, policy: Policy, *, provider_down: bool) -> Decision:
    if answer.kind == "throttled":
        return Again(max(answer.seconds or 0.0, policy.throttled_seconds), "throttled")
    if answer.kind == "greylisted":
        if delivery.greylists >= len(policy.greylist_seconds):
            return Finish(State.FAILED, "greylisted", chain_goes_on=True)
        return Again(policy.greylist_seconds[delivery.greylists], "greylisted", counted="greylist")
    if provider_down:
        return Again(policy.down_seconds, "provider_down")
    if delivery.tries >= len(policy.no_effect_seconds):
        return Finish(State.FAILED, "unreachable", chain_goes_on=True)
    return Again(policy.no_effect_seconds[delivery.tries], answer.kind, counted="try")


def unforeseen(delivery: Delivery, policy: Policy) -> Decision:
    """Decide about an attempt that broke before it was claimed: nothing was sent."""
    if delivery.faults >= len(policy.unforeseen_seconds):
        return Finish(State.FAILED, "unforeseen", chain_goes_on=True)
    return Again(policy.unforeseen_seconds[delivery.faults], "unforeseen")


@dataclass
class Circuit:
    """Whether a provider counts as down: so many different deliveries failed without effect in a row."""

    failures_needed: int = 3
    failed: dict[str, set[str]] = field(default_factory=dict)

    def saw(self, provider: str, delivery: str, answer: Answer) -> None:
        """Take note of an answer."""
        if isinstance(answer, Later) and answer.kind in ("no_effect", "down"):
            seen = self.failed.setdefault(provider, set())
            if len(seen) < self.failures_needed:
                seen.add(delivery)
        else:
            self.failed.pop(provider, None)

    def is_down(self, provider: str) -> bool:
        """Say whether the provider counts as down."""
        return len(self.failed.get(provider, ())) >= self.failures_needed
