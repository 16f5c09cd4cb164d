"""The desk: one attempt of one delivery, from its row to the provider and back to its row."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from services.senders.channels import Channel as Sender
from services.senders.domain.limits import Limits
from services.senders.domain.policy import Again, Circuit, Finish, Policy, decide, unforeseen
from services.senders.domain.requests import Delivery, Request
from services.senders.domain.sending import (
    Answer,
    Content,
    Later,
    Outgoing,
    Sent,
    Stopped,
    Target,
)
from services.senders.handlers.announcing import Announcer, Publish
from services.senders.handlers.following import Redirects
from services.senders.handlers.learning import Lessons
from services.senders.handlers.pacing import Pacing, Wait
from services.senders.handlers.reaching import Quiet, Reached, Unreachable, reach
from services.senders.handlers.tracing import of_message
from services.senders.handlers.writing import UnsubscribeUrl, Unwritable, write
from services.senders.store import Governor, Ledger, Recipients
from shared import metrics, telemetry
from shared.events import Channel, Lane, State
from shared.failpoints import passing
from shared.templates import Templates

IN_TURN_SECONDS = 0.1
RIVAL_SECONDS = 2.0
RIVAL_LOOK_SECONDS = 60.0
"""How long one waits whose address another entry of the list has: until that is due, but not for ever."""
SLOTS_MISSED = 5
"""After so many slots that came to nothing an attempt lets others have its worker."""

log = telemetry.logger(__name__)


@dataclass
class Desk:
    """Everything that an attempt needs."""

    ledger: Ledger
    governor: Governor
    recipients: Recipients
    announcer: Announcer
    senders: Mapping[Channel, Sender]
    templates: Templates
    limits: Limits
    policy: Policy
    publish: Publish
    default_bot: str | None
    redirects: Redirects | None = None
    unsubscribe_url: UnsubscribeUrl | None = None
    """Makes the link that a campaign's letter is left by; without it campaigns go over no e-mail."""
    push_key: UUID | None = None
    """What our key for push services is known by."""
    circuit: Circuit = field(default_factory=Circuit)
    pacing: Pacing = field(init=False)

    def __post_init__(self) -> None:
        self.pacing = Pacing(self.governor, self.limits)

    @property
    def lessons(self) -> Lessons:
        """What answers teach, for every replica."""
        return Lessons(self.governor, self.recipients, self.limits, self.policy, self.push_key)

    async def send(self, delivery_id: UUID, request: Request | None = None) -> None:
        """Make the attempt that is due, and those on the channels that follow from it.

        `request` is what it is to say, where that is known.
        """
        following: UUID | None = delivery_id
        while following is not None:
            delivery = await self.ledger.load(following, request)
            if delivery is None:
                return
            attributes = {"channel": delivery.channel, "lane": delivery.request.lane}
            with of_message(delivery.trace), telemetry.span("send delivery", **attributes):
                following = await self._attempt(delivery)

    async def stumbled(self, delivery_id: UUID) -> None:
        """Count an unforeseen failure; what had been claimed by then is left to its lease."""
        delivery = await self.ledger.load(delivery_id)
        if delivery is None:
            return
        decision = unforeseen(delivery, self.policy)
        if isinstance(decision, Again):
            await self.ledger.postpone(delivery, decision.seconds, decision.reason, faults=1)
        else:
            await self._finish(delivery, delivery.attempt, decision)

    async def _attempt(self, delivery: Delivery) -> UUID | None:
        """Make one attempt; return the next delivery of the chain, if that is to follow now."""
        prepared = await self._prepare(delivery)
        if isinstance(prepared, Finish):
            return await self._finish(delivery, delivery.attempt, prepared)
        if delivery.paused:
            await self.ledger.hold(delivery)
            return None
        if isinstance(prepared, Again):
            await self.ledger.postpone(delivery, prepared.seconds, prepared.reason)
            return None
        reached, content = prepared
        attempt = await self._claim(delivery, reached)
        if not isinstance(attempt, int):
            return await self._finish(delivery, delivery.attempt, attempt) if attempt else None
        began = time.monotonic()
        answer = await self._call(delivery, attempt, reached, content)
        passing("after_answer")
        metrics.SEND_SECONDS.labels(channel=delivery.channel).observe(time.monotonic() - began)
        self.circuit.saw(reached.provider, str(delivery.id), answer)
        await self.lessons.learn(reached, answer)
        is_down = self.circuit.is_down(reached.provider)
        decision = decide(delivery, answer, self.policy, provider_down=is_down)
        if isinstance(decision, Again):
            await self.ledger.wait(delivery, attempt, decision)
            return delivery.id if decision.seconds == 0 else None
        return await self._finish(delivery, attempt, decision)

    async def _prepare(self, delivery: Delivery) -> tuple[Reached, Content] | Finish | Again:
        """Return where it goes and what it says, or how it ends or waits without an attempt."""
        now = datetime.now(UTC)
        if end := self._end(delivery, now):
            return end
        reached = await reach(delivery, self.recipients, self.default_bot, now)
        if isinstance(reached, Quiet):
            return Again((reached.until - now).total_seconds(), "quiet_hours")
        if isinstance(reached, Unreachable):
            return Finish(State.SUPPRESSED, reached.reason, chain_goes_on=reached.chain_goes_on)
        try:
            content = write(delivery, self.templates, reached.language, self.unsubscribe_url)
        except Unwritable as problem:
            log.warning("message_unwritable", delivery_id=str(delivery.id), problem=str(problem))
            return Finish(State.FAILED, "invalid", chain_goes_on=True)
        return reached, self.redirects.through(content, delivery) if self.redirects else content

    def _end(self, delivery: Delivery, now: datetime) -> Finish | None:
        """Return how a delivery ends whose time is over, or that has no way out."""
        # What waits to be sent once more may have arrived already.
        unsent = State.AMBIGUOUS if delivery.resent else State.SUPPRESSED
        if delivery.cancelled:
            return Finish(unsent, "cancelled")
        if delivery.request.expires_at <= now:
            return Finish(unsent, "expired")
        is_campaign = delivery.request.lane is Lane.CAMPAIGN
        cannot_be_left = is_campaign and delivery.channel is Channel.EMAIL and self.unsubscribe_url is None
        if delivery.channel not in self.senders or cannot_be_left:
            return Finish(State.FAILED, "channel_off", chain_goes_on=True)
        return None

    async def _claim(self, delivery: Delivery, reached: Reached) -> int | Finish | None:
        """Claim the attempt in its turn and at its slot; None when it waits on, or somebody else has it."""
        limits = reached.limits(self.limits)
        if delivery.behind:
            apart = limits[-1].interval if self.limits.on and limits else 0.0
            await self.ledger.postpone(delivery, max(IN_TURN_SECONDS, delivery.behind * apart), "in_turn")
            return None
        passing("before_claim")
        place = reached.place_of(delivery.request)
        if place and (beaten := await self._beaten(delivery, place)):
            return await self._wait_or_end(delivery, beaten)
        for _ in range(SLOTS_MISSED):
            slot = (
                await self.pacing.slot(delivery.request.lane, limits) if self.limits.on and limits else None
            )
            if isinstance(slot, Wait):
                await self.ledger.postpone(delivery, slot.seconds, "rate_limit")
                return None
            attempt = await self._claimed(delivery, reached, place)
            if slot:
                self.pacing.lead.took(slot.claimed_after())
            if not isinstance(attempt, int) or slot is None or await slot.use():
                return attempt
            await self.ledger.release(delivery, attempt)
        await self.ledger.postpone(delivery, IN_TURN_SECONDS, "rate_limit")
        return None

    async def _claimed(self, delivery: Delivery, reached: Reached, place: UUID | None) -> int | Finish | None:
        keys = reached.pauses(self.limits)
        attempt = await self.ledger.claim(
            delivery, bot=reached.bot, chat_id=reached.chat_id, keys=keys, place=place
        )
        if attempt is not None:
            passing("after_claim")
            return attempt
        if place and (beaten := await self._beaten(delivery, place)):
            return await self._wait_or_end(delivery, beaten)
        await self.ledger.postpone(delivery, await self.governor.paused(keys), "paused")
        return None

    async def _beaten(self, delivery: Delivery, place: UUID) -> Finish | Again | None:
        """Return what a delivery does whose place another entry of its campaign's list has."""
        rival = await self.ledger.rival(delivery, place)
        if rival is None:
            return None
        state, due_in = rival
        if state is State.PENDING:
            return Again(min(max(RIVAL_SECONDS, due_in), RIVAL_LOOK_SECONDS), "duplicate")
        return Finish(State.SUPPRESSED, "duplicate")

    async def _wait_or_end(self, delivery: Delivery, beaten: Finish | Again) -> Finish | None:
        if isinstance(beaten, Finish):
            return beaten
        await self.ledger.postpone(delivery, beaten.seconds, beaten.reason)
        return None

    async def _call(self, delivery: Delivery, attempt: int, reached: Reached, content: Content) -> Answer:
        """Call the provider: for push once per subscription, and sent if any took it."""
        answers: list[Answer] = []
        for target in reached.targets:
            item = _outgoing(delivery, attempt, reached, target, content)
            answer = await self.senders[delivery.channel].send(item)
            answers.append(await self.lessons.learn_of_subscription(target, answer))
        answers.sort(key=lambda answer: isinstance(answer, Stopped) and answer.alone)
        for kind in (Sent, Stopped, Later):
            if found := next((answer for answer in answers if isinstance(answer, kind)), None):
                return found
        return answers[-1]

    async def _finish(self, delivery: Delivery, attempt: int, end: Finish) -> UUID | None:
        ended, following = await self.ledger.finish(delivery, attempt, end)
        if ended is None:
            log.warning(
                "answer_came_too_late", delivery_id=str(delivery.id), attempt=attempt, state=end.state
            )
            return None
        passing("before_outcome")
        await self.announcer.ended(ended, delivery.request)
        return following


def _outgoing(
    delivery: Delivery, attempt: int, reached: Reached, target: Target, content: Content
) -> Outgoing:
    return Outgoing(
        delivery_id=delivery.id,
        attempt=attempt,
        lane=delivery.request.lane,
        bot=reached.bot,
        to=target,
        content=content,
        expires_at=delivery.request.expires_at,
    )
