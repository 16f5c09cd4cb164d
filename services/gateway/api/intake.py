"""What is done with every update, whichever way it came: one event, fsynced, and the answer to a press.

This is the hot path: no database, no question to anybody.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.gateway.api.rush import Rush
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.reading import is_deep
from services.gateway.domain.updates import Press, kind_of, press_of, query_id_of
from shared import metrics
from shared.bus import Bus, BusUnavailable, TooLarge
from shared.events import ButtonClicked, UpdateReceived, click_id, update_id_of

SECONDS = 5.0
DEEP = "deep"
TOO_LARGE = "too_large"

Answer = Mapping[str, str]


class Intake:
    """Takes updates for all bots; `rush` is told of each while it is being stored."""

    def __init__(self, bus: Bus, now: Callable[[], datetime], rush: Rush) -> None:
        self._bus = bus
        self._now = now
        self._rush = rush

    async def take(self, bot: DoorBot, update: dict[str, Any], update_id: int, body: bytes) -> Answer | None:
        """Store an update; return the arguments of answerCallbackQuery where somebody waits for an answer.

        `body` is what the update was read from. Raises BusUnavailable, TooLarge.
        """
        press = press_of(update)
        if press is not None:
            kind = "callback_query"
            answer: Answer | None = _answer_to_press(press, bot)
            event: ButtonClicked | UpdateReceived = self._click(press, bot, update_id)
        else:
            kind, answer = kind_of(update), _answer_to_query(update)
            if is_deep(update, body):
                # Readers of events refuse such depths: kept as the text that it came as.
                update = {"update_id": update_id, DEEP: body.decode(errors="replace")}
            event = self._update(bot, update_id, kind, update)
        await self._publish(event, bot.name, kind)
        return answer

    async def note_too_large(
        self, bot: DoorBot, update: Mapping[str, Any], update_id: int, size: int
    ) -> None:
        """Store in place of an update that the broker does not take that there was one, of so many bytes."""
        kind = kind_of(update)
        await self._publish(
            self._update(bot, update_id, kind, {"update_id": update_id, TOO_LARGE: size}), bot.name, kind
        )

    def _update(self, bot: DoorBot, update_id: int, kind: str, update: dict[str, Any]) -> UpdateReceived:
        return UpdateReceived(
            id=update_id_of(bot.id, update_id), at=self._now(), bot=bot.name, bot_id=bot.id,
            update_id=update_id, kind=kind, update=update,
        )  # fmt: skip

    def _click(self, press: Press, bot: DoorBot, update_id: int) -> ButtonClicked:
        return ButtonClicked(
            id=click_id(bot.id, update_id), at=self._now(), payload=press.payload,
            delivery_id=press.delivery_id, bot=bot.name, bot_id=bot.id, update_id=update_id,
            person=press.person, chat_id=press.chat_id, message_id=press.message_id, cta_text=press.cta_text,
        )  # fmt: skip

    async def _publish(self, event: ButtonClicked | UpdateReceived, bot: str, kind: str) -> None:
        status = "accepted"
        try:
            with self._rush:
                await self._bus.publish(event, seconds=SECONDS)
        except (BusUnavailable, TooLarge) as error:
            status = "too_large" if isinstance(error, TooLarge) else "unavailable"
            raise
        finally:
            metrics.counter(metrics.UPDATES, bot, kind, status).inc()


def _answer_to_press(press: Press, bot: DoorBot) -> Answer:
    answer = {"callback_query_id": press.query_id}
    if bot.username is not None:
        answer["url"] = f"https://t.me/{bot.username}?start={press.payload}"
    return answer


def _answer_to_query(update: Mapping[str, Any]) -> Answer | None:
    """Answer a callback query that no promo stands behind, so that its button does not spin for ever."""
    query_id = query_id_of(update)
    return {"callback_query_id": query_id} if query_id else None
