"""What a provider's answer teaches about chat, mailbox, browser and provider: kept for every replica."""

from dataclasses import dataclass
from uuid import UUID

from services.senders.domain.limits import Limits
from services.senders.domain.policy import Policy
from services.senders.domain.sending import (
    Answer,
    EmailTarget,
    Later,
    Migrated,
    PushTarget,
    Refused,
    Sent,
    Stopped,
    Target,
)
from services.senders.handlers.reaching import Reached, push_service
from services.senders.store import Governor, Recipients
from shared import metrics, telemetry
from shared.events import Channel

log = telemetry.logger(__name__)


@dataclass(frozen=True)
class Lessons:
    """Writes down what answers teach."""

    governor: Governor
    recipients: Recipients
    limits: Limits
    policy: Policy
    push_key: UUID | None
    """What our key for push services is known by."""

    async def learn(self, reached: Reached, answer: Answer) -> None:
        """Pause what is throttled or stopped, suppress what is gone, remember what has moved."""
        if isinstance(answer, Stopped):
            if answer.alone:
                return
            log.error("channel_stopped", provider=reached.provider, reason=answer.reason)
            metrics.RATE_LIMIT_PAUSES.labels(key="stopped").inc()
            for key in reached.pauses(self.limits)[:1]:
                await self.governor.pause_key(key, self.policy.stopped_seconds)
        elif reached.bot and reached.chat_id is not None:
            await self._learn_of_chat(reached.bot, reached.chat_id, answer)
        elif isinstance(answer, Refused) and answer.suppresses:
            for target in reached.targets:
                if isinstance(target, EmailTarget):
                    await self.recipients.suppress(Channel.EMAIL, target.address.casefold(), "bounced")

    async def learn_of_subscription(self, target: Target, answer: Answer) -> Answer:
        """Note a browser that took a notification; forget one that never will again.

        Return what the answer means: who refuses our key while others take it was subscribed under another.
        """
        if not isinstance(target, PushTarget) or self.push_key is None:
            return answer
        endpoint, service = target.subscription.endpoint, push_service(target)
        if isinstance(answer, Sent):
            await self.recipients.subscription_worked(endpoint, self.push_key)
        elif isinstance(answer, Stopped):
            return await self._refused(endpoint, self.push_key, service, answer)
        elif isinstance(answer, Later) and answer.kind == "throttled":
            seconds = answer.seconds or self.policy.throttled_seconds
            await self.governor.pause_key(service, seconds)
            metrics.RATE_LIMIT_PAUSES.labels(key="push").inc()
        elif isinstance(answer, Refused) and answer.reason == "expired_subscription":
            await self.recipients.delete_subscription(endpoint)
            metrics.PUSH_EXPIRED.inc()
        return answer

    async def _refused(self, endpoint: str, key: UUID, service: str, answer: Stopped) -> Answer:
        # The next try, after as long a wait, is the one that decides.
        patience = self.policy.stopped_seconds / 2
        verdict = await self.recipients.refused_our_key(endpoint, key, service, patience)
        if verdict == "stop":
            return answer
        log.warning("subscription_of_another_key", provider=service, verdict=verdict)
        if verdict == "wait":
            return Stopped(answer.reason, alone=True)
        await self.recipients.delete_subscription(endpoint)
        return Refused("foreign_subscription", suppresses=True)

    async def _learn_of_chat(self, bot: str, chat_id: int, answer: Answer) -> None:
        match answer:
            case Later(seconds, "throttled"):
                await self._pause(bot, chat_id, seconds or self.policy.throttled_seconds)
            case Refused(reason, suppresses=True):
                await self.recipients.suppress(Channel.TELEGRAM, f"{bot}:{chat_id}", reason)
            case Migrated(new_chat_id):
                await self.recipients.migrate(bot, chat_id, new_chat_id)

    async def _pause(self, bot: str, chat_id: int, seconds: float) -> None:
        limit = self.limits.chat(bot, chat_id)
        whole_bot = await self.governor.pause(
            limit.key, seconds, bot_key=self.limits.bot(bot).key, chat_prefix=f"chat:{bot}:"
        )
        metrics.RATE_LIMIT_PAUSES.labels(key="bot" if whole_bot else "chat").inc()
        log.warning("throttled", bot=bot, seconds=seconds, whole_bot=whole_bot)
