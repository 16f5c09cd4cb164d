"""No cancellation is lost."""

import asyncio

from shared import tasks


async def test_a_wait_ends_with_its_event_or_its_time() -> None:
    """The answer says whether the event has come."""
    event = asyncio.Event()
    assert not await tasks.wait(event, 0.01)

    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await tasks.wait(event, 30)


async def test_a_cancellation_together_with_the_event_is_not_lost() -> None:
    """A loop that is woken and cancelled in the same moment ends."""
    event = asyncio.Event()

    async def keep_running() -> None:
        while True:
            await tasks.wait(event, 30)
            event.clear()

    running = asyncio.create_task(keep_running())
    await asyncio.sleep(0.01)
    event.set()
    running.cancel()
    await asyncio.wait([running], timeout=20)
    assert running.cancelled()


async def test_who_goes_on_is_cancelled_again() -> None:
    """A task whose library swallowed the first cancellation ends all the same."""
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.sleep(30)

    running, other = asyncio.create_task(stubborn()), asyncio.create_task(asyncio.sleep(30))
    await asyncio.sleep(0.01)
    await tasks.cancel(running, other)
    assert swallowed.is_set()
    assert running.cancelled()
    assert other.cancelled()


async def test_nothing_to_cancel() -> None:
    """What has ended already needs no waiting."""
    ended = asyncio.create_task(asyncio.sleep(0))
    await ended
    await tasks.cancel()
    await tasks.cancel(ended)
