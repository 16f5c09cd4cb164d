"""Work that many ask for at once."""

import asyncio

import pytest

from shared.coalescing import Coalescing


class Work:
    """Counts how often it was begun and ended, and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.error: Exception | None = None
        self.go_on = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.ended += 1


async def turns(count: int = 10) -> None:
    """Let whatever can run go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_comes_meanwhile_shares_the_next_time() -> None:
    """Whoever asks gets a time that began after they asked, and a hundred of them get the same one."""
    work = Work()
    do = Coalescing(work)
    first = asyncio.create_task(do())
    await turns()
    others = [asyncio.create_task(do()) for _ in range(100)]
    await turns()
    assert work.begun == 1, "never twice at once"
    work.go_on.set()
    await asyncio.gather(first, *others)
    assert (work.begun, work.ended) == (2, 2)
    await do()
    assert work.ended == 3, "at rest it is done at once"


async def test_an_error_is_told_to_everybody_and_ends_nothing() -> None:
    """Everybody who shared a time that failed hears of it; the next who asks is served again."""
    work = Work()
    work.go_on.set()
    work.error = ConnectionError("away")
    do = Coalescing(work)
    found = await asyncio.gather(do(), do(), return_exceptions=True)
    assert [type(each) for each in found] == [ConnectionError, ConnectionError]
    work.error = None
    await do()
    assert work.ended == 1


async def test_who_gives_up_takes_nobody_along() -> None:
    """A caller that is cancelled leaves the work to those who share it."""
    work = Work()
    do = Coalescing(work)
    patient, hasty = asyncio.create_task(do()), asyncio.create_task(do())
    await turns()
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    work.go_on.set()
    await patient
    assert (work.begun, work.ended) == (1, 1)
