"""Turns by key."""

import asyncio

from shared.queues import Queues


async def test_one_key_is_taken_in_order_and_others_do_not_wait() -> None:
    """What came first of a key ends first; another key passes by; nothing is left behind."""
    queues, done, gate = Queues(), [], asyncio.Event()

    async def take(key: str, number: int) -> None:
        async with queues.turn(key):
            if number == 0:
                await gate.wait()
            done.append((key, number))

    tasks = [asyncio.create_task(take("a", number)) for number in range(3)]
    await take("b", 1)
    assert done == [("b", 1)]
    gate.set()
    await asyncio.gather(*tasks)
    assert done == [("b", 1), ("a", 0), ("a", 1), ("a", 2)]
    assert len(queues) == 0
