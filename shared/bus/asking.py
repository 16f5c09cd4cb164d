"""Questions and commands between services: NATS request-reply, typed, one queue group a service.

A reply is `{"reply": …}` or `{"refusal": {"status", "title", "detail", "extra"}}`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import ValidationError

from shared import telemetry
from shared.bus.errors import NoAnswer, NobodyThere, Refusal, TooLarge
from shared.bus.publishing import HEADER_BYTES
from shared.events import Value
from shared.queries import Query

QueryT = TypeVar("QueryT", bound="Query[Any]")
ReplyT = TypeVar("ReplyT", bound=Value)

AT_ONCE = 64
STOP_SECONDS = 10.0
FLUSH_SECONDS = 2
CONFLICT_TRIES = 4
CONFLICT_SECONDS = 0.2
"""At most so long an answer rests that lost against another, so that they do not meet again."""

log = telemetry.logger(__name__)


@dataclass(frozen=True)
class Answering:
    """A query class and the function that answers it."""

    query_class: type[Query[Any]]
    handle: Callable[[Any], Awaitable[Value]]


def answering(query_class: type[QueryT], handler: Callable[[QueryT], Awaitable[Value]]) -> Answering:
    """Route a query class to the function that answers it."""
    return Answering(query_class, handler)


async def ask(client: Client, query: Query[ReplyT], *, timeout: float) -> ReplyT:
    """Ask, and return the answer; raises Refusal, TooLarge, or NoAnswer when none came in time."""
    name = f"{query.service}.{query.name}"
    with telemetry.span(f"ask {name}"):
        body = query.model_dump_json().encode()
        if len(body) > (limit := client.max_payload - HEADER_BYTES):
            raise TooLarge(f"a question of {len(body)} bytes; at most {limit} fit")
        try:
            message = await client.request(query.subject(), body, timeout, headers=telemetry.inject())
        except nats.errors.NoRespondersError:
            raise NobodyThere(f"no {query.service} is there to answer {query.name}") from None
        except (nats.errors.Error, TimeoutError, OSError):
            raise NoAnswer(f"{query.service} did not answer {query.name} within {timeout:g} s") from None
    answer = orjson.loads(message.data)
    if refusal := answer.get("refusal"):
        raise Refusal(refusal["status"], refusal["title"], refusal["detail"], refusal.get("extra") or {})
    return query.reply.model_validate(answer["reply"])  # type: ignore[return-value]  # reply is ReplyT's class


class Answers:
    """Answers the questions of one service."""

    def __init__(
        self,
        client: Client,
        answers: Sequence[Answering],
        is_unavailable: Callable[[BaseException], bool],
        is_conflict: Callable[[BaseException], bool],
    ) -> None:
        self._client = client
        self._answers = answers
        self._is_unavailable = is_unavailable
        self._is_conflict = is_conflict
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Subscribe, in the queue group of the service: one replica answers each question."""
        for answer in self._answers:
            queue = answer.query_class.service
            subject = answer.query_class.subject()
            self._subscriptions.append(
                await self._client.subscribe(subject, queue=queue, cb=self._receiver(answer))
            )
        try:
            # Whoever asks next must find somebody listening. The client's PING overtakes what it has not
            # written yet, such as these subscriptions: only the answer to a second one confirms them.
            for _ in range(2):
                await self._client.flush(FLUSH_SECONDS)
        except nats.errors.Error as error:
            # The client subscribes again when it is connected again.
            log.warning("answering_not_confirmed", error=type(error).__name__)

    async def stop(self) -> None:
        """Stop taking questions and finish those that run."""
        for subscription in self._subscriptions:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error:
                log.debug("unsubscribe_while_disconnected")
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)

    def _receiver(self, answer: Answering) -> Callable[[Msg], Awaitable[None]]:
        async def receive(message: Msg) -> None:
            # The client calls back one message at a time: a task each, or a slow answer holds up all.
            await self._room.acquire()
            task = asyncio.create_task(self._respond(answer, message))
            self._running.add(task)
            task.add_done_callback(self._finished)

        return receive

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._room.release()

    async def _respond(self, answer: Answering, message: Msg) -> None:
        with telemetry.continued(message.headers or {}), telemetry.span(f"answer {answer.query_class.name}"):
            body = await self._answer(answer, message.data)
            try:
                await message.respond(body)
            except (nats.errors.Error, OSError) as error:
                log.warning("answer_not_sent", query=answer.query_class.name, error=type(error).__name__)

    async def _answer(self, answer: Answering, data: bytes) -> bytes:
        try:
            query = answer.query_class.model_validate_json(data)
            reply = await self._handled(answer, query)
            return b'{"reply":' + reply.model_dump_json().encode() + b"}"
        except Refusal as refusal:
            return _refusal(refusal.status, refusal.title, refusal.detail, refusal.extra)
        except ValidationError as error:
            fields = sorted({".".join(str(part) for part in each["loc"]) for each in error.errors()})
            return _refusal(422, "Invalid question", f"wrong: {', '.join(fields)}")
        except Exception as error:  # noqa: BLE001 - the outermost boundary of every answer
            service = answer.query_class.service
            if self._is_unavailable(error):
                return _refusal(503, "Service unavailable", f"{service} cannot reach its database")
            if self._is_conflict(error):
                log.warning("answer_lost_to_others", query=answer.query_class.name)
                return _refusal(503, "Service unavailable", f"others change the same in {service}; ask again")
            error_id = uuid4().hex
            log.error(
                "answer_failed", query=answer.query_class.name, error=type(error).__name__,
                error_id=error_id, where=telemetry.where(error),
            )  # fmt: skip
            return _refusal(500, "Internal error", f"error id {error_id}", {"error_id": error_id})

    async def _handled(self, answer: Answering, query: Query[Any]) -> Value:
        """Return a handler's reply; what lost against another has changed nothing, and is tried again.

        Whoever gets no answer asks again, so that every handler can be repeated.
        """
        for _ in range(CONFLICT_TRIES - 1):
            try:
                return await answer.handle(query)
            except Exception as error:
                if not self._is_conflict(error):
                    raise
            await asyncio.sleep(random.uniform(0, CONFLICT_SECONDS))  # noqa: S311 - no secret hangs on it
        return await answer.handle(query)


def _refusal(status: int, title: str, detail: str, extra: dict[str, object] | None = None) -> bytes:
    return orjson.dumps(
        {"refusal": {"status": status, "title": title, "detail": detail, "extra": extra or {}}}, default=str
    )
