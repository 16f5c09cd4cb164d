"""Gathering: what several ask of the database in the same moment is one statement.

Whoever asks alone waits for nobody. While a statement runs, those who want the same wait, and go together
with the next: the busier a process is, the less of the database a message costs.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Executable, RowMapping

from shared import telemetry
from shared.database import Database, is_unavailable

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")

AT_ONCE = 2
AT_MOST = 200


@dataclass
class _Waiting(Generic[ItemT, AnswerT]):
    item: ItemT
    answer: "asyncio.Future[AnswerT]"
    context: contextvars.Context
    alone: bool = False


class Gathering(Generic[ItemT, AnswerT]):
    """Puts one question for many: `ask` takes items and returns an answer for each, in their order.

    Items of the same `key` never share a statement. A statement that the database refuses is put again for
    each item alone, so that nobody fails for another; it must change nothing when it fails.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[Sequence[ItemT]], Awaitable[Sequence[AnswerT]]],
        key: Callable[[ItemT], Hashable],
    ) -> None:
        self._name = name
        self._ask = ask
        self._key = key
        self._waiting: deque[_Waiting[ItemT, AnswerT]] = deque()
        self._running: set[asyncio.Task[Sequence[AnswerT]]] = set()
        self._woken = False

    async def one(self, item: ItemT) -> AnswerT:
        """Return the answer for one item; raises what its statement raised."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting[ItemT, AnswerT](item, loop.create_future(), contextvars.copy_context())
        self._waiting.append(waiting)
        if not self._woken:
            # In the loop's next turn: who asks in this one goes along.
            self._woken = True
            loop.call_soon(self._wake)
        if not telemetry.records():
            return await waiting.answer
        # The statement is in the trace of whoever asked first: here is how long the others waited for it.
        with telemetry.span(f"gather {self._name}"):
            return await waiting.answer

    def _wake(self) -> None:
        self._woken = False
        while len(self._running) < AT_ONCE and (batch := self._take()):
            task = asyncio.create_task(self._asked(batch), context=batch[0].context)
            self._running.add(task)
            task.add_done_callback(partial(self._answered, batch))

    def _take(self) -> list[_Waiting[ItemT, AnswerT]]:
        taken: dict[Hashable, _Waiting[ItemT, AnswerT]] = {}
        while self._waiting and len(taken) < AT_MOST:
            first = self._waiting[0]
            if taken and (first.alone or self._key(first.item) in taken):
                break
            self._waiting.popleft()
            # Whoever has given up asks no more.
            if not first.answer.done():
                taken[self._key(first.item)] = first
                if first.alone:
                    break
        return list(taken.values())

    async def _asked(self, batch: Sequence[_Waiting[ItemT, AnswerT]]) -> Sequence[AnswerT]:
        return await self._ask([each.item for each in batch])

    def _answered(
        self, batch: Sequence[_Waiting[ItemT, AnswerT]], task: "asyncio.Task[Sequence[AnswerT]]"
    ) -> None:
        self._running.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            for each, answer in zip(batch, task.result(), strict=True):
                if not each.answer.done():
                    each.answer.set_result(answer)
        elif len(batch) > 1 and not task.cancelled() and not is_unavailable(error):
            for each in reversed(batch):
                each.alone = True
                self._waiting.appendleft(each)
        else:
            for each in batch:
                _fail(each.answer, error)
        self._wake()


def _fail(answer: "asyncio.Future[Any]", error: BaseException) -> None:
    if answer.done():
        return
    if isinstance(error, asyncio.CancelledError):
        answer.cancel()
    else:
        answer.set_exception(error)


class Lookup(Gathering[tuple[Any, ...], list[RowMapping]]):
    """A question whose answer is rows: its statement unnests `parameters` with their `place`, from 1 on."""

    def __init__(self, name: str, database: Database, statement: Executable, *parameters: str) -> None:
        super().__init__(name, self._look_up, lambda _: object())
        self._database = database
        self._statement = statement
        self._parameters = parameters

    async def rows(self, *values: Any) -> list[RowMapping]:
        """Return the rows for these values, one for each parameter."""
        return await self.one(values)

    async def row(self, *values: Any) -> RowMapping | None:
        """Return the first row for these values, or None."""
        return next(iter(await self.one(values)), None)

    async def _look_up(self, items: Sequence[tuple[Any, ...]]) -> list[list[RowMapping]]:
        given = dict(zip(self._parameters, map(list, zip(*items, strict=True)), strict=True))
        found: list[list[RowMapping]] = [[] for _ in items]
        for row in await self._database.rows(self._statement, **given):
            found[row["place"] - 1].append(row)
        return found


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns, for a statement that unnests them; all rows have the names of the first."""
    return {name: [row[name] for row in rows] for name in rows[0]}
