"""The load: presses, or updates of all kinds, over kept connections, as fast as they are answered.

`python -m bench.load`, a process of its own, reads one `Load` as JSON and writes one `Answered`. It speaks
HTTP/1.1 on bare sockets, from requests that are built before the clock starts, so that it is never the
slower side.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import cast

import orjson
import uvloop
from pydantic import BaseModel

from bench.updates import Mixed, Presses

LENGTH, END = b"content-length:", b"\r\n\r\n"


class Load(BaseModel):
    """What is to be sent where: `presses` names the first update id, so that no run repeats another's."""

    host: str
    port: int
    path: str
    secret: str
    first_update: int
    connections: int = 64
    warm_seconds: float = 1.0
    seconds: float = 4.0
    at_most: int = 150_000
    mixed: bool = False


class Answered(BaseModel):
    """What came of it: answers in the measured time, and the milliseconds that they took."""

    answers: int
    all_answers: int
    """With those of the time of warming up."""
    seconds: float
    refused: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


class Run:
    """The clock and the counters that the connections share."""

    def __init__(self, load: Load) -> None:
        self.requests = requests(load)
        self.counts_from = time.perf_counter() + load.warm_seconds
        self.ends_at = self.counts_from + load.seconds
        self.latencies: list[float] = []
        self.all_answers = 0
        self.refused = 0


class Connection(asyncio.Protocol):
    """One connection: the next press goes out when the last is answered."""

    def __init__(self, run: Run) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run = run
        self._answer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first press."""
        # uvloop's are no subclass of it.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; when it is whole, count it and send the next press."""
        self._answer = answer = self._answer + data if self._answer else data
        if not is_whole(answer):
            return
        now = time.perf_counter()
        self._run.all_answers += 1
        if not answer.startswith(b"HTTP/1.1 200"):
            self._run.refused += 1
        elif self._sent_at >= self._run.counts_from and now <= self._run.ends_at:
            self._run.latencies.append(now - self._sent_at)
        self._answer = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """End; a connection that the server broke is a refusal."""
        if not self.done.done():
            self._run.refused += error is not None
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent_at = now = time.perf_counter()
        request = next(self._run.requests, None) if now < self._run.ends_at else None
        if request is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()


def is_whole(answer: bytes) -> bool:
    """Say whether an HTTP answer with a Content-Length, or in chunks, is here to its end."""
    head, found, body = answer.partition(END)
    if not found:
        return False
    lower = head.lower()
    at = lower.find(LENGTH)
    if at < 0:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(lower[at + len(LENGTH) :].partition(b"\r")[0])


def requests(load: Load) -> Iterator[bytes]:
    """Yield requests, built in advance, with an update of its own in each."""
    head = (
        f"POST {load.path} HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nContent-Type: application/json\r\n"
        f"X-Telegram-Bot-Api-Secret-Token: {load.secret}\r\nContent-Length: "
    )
    bodies = (Mixed() if load.mixed else Presses()).bodies(load.first_update, load.at_most)
    built = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    return iter(built)


async def press(load: Load) -> Answered:
    """Press until the time is over."""
    run = Run(load)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(run), load.host, load.port)
        for _ in range(load.connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    times = sorted(run.latencies) or [0.0]
    return Answered(
        answers=len(run.latencies),
        all_answers=run.all_answers,
        seconds=load.seconds,
        refused=run.refused,
        p50_ms=1000 * times[len(times) // 2],
        p99_ms=1000 * times[len(times) * 99 // 100],
    )


def main() -> None:
    """Read a load, and say what came of it."""
    load = Load.model_validate_json(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(press(load)).model_dump()))


if __name__ == "__main__":
    main()
