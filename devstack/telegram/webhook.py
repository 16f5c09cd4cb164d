"""Delivery of a bot's updates to its webhook: in order per lane, lanes side by side, at least once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from devstack.telegram.clock import Clock
from devstack.telegram.faults import Faults
from devstack.telegram.updates import Update, UpdateQueue

GONE_SECONDS = 23 * 3600.0
LONGEST_RETRY_AFTER = 3600.0

Reply = Callable[[str, bytes], Awaitable[None]]
Gone = Callable[[], None]


@dataclass(frozen=True)
class Hook:
    """What setWebhook asked for."""

    url: str
    secret: str = ""
    max_connections: int = 40
    ip_address: str = ""


@dataclass(frozen=True)
class Courier:
    """What delivering needs: a client, time, faults, how long an answer may take and retries wait.

    Retry n waits 0 s first, then `retry_step`, twice that, and so on, up to a minute.
    """

    session: aiohttp.ClientSession
    clock: Clock
    faults: Faults
    timeout: float
    retry_step: float


class Webhook:
    """A webhook at work; `last_error` is what getWebhookInfo tells: (time, message)."""

    def __init__(
        self, hook: Hook, updates: UpdateQueue, courier: Courier, *, bot_id: int, reply: Reply, gone: Gone
    ) -> None:
        self.hook = hook
        self.last_error: tuple[int, str] | None = None
        self._bot_id = bot_id
        self._updates = updates
        self._courier = courier
        self._reply = reply
        self._gone = gone
        self._gone_since: float | None = None
        self._open = True
        self._lanes: dict[str, deque[Update]] = {}
        self._slots = asyncio.Semaphore(hook.max_connections)
        self._tasks: set[asyncio.Task[None]] = set()
        updates.listener = self._offer
        for update in updates.pending.values():
            self._offer(update)

    async def stop(self) -> None:
        """Deliver nothing more; what is under way is cut off and stays pending."""
        self._open = False
        if self._updates.listener == self._offer:
            self._updates.listener = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _offer(self, update: Update) -> None:
        lane = self._lanes.get(update.lane)
        if lane is not None:
            lane.append(update)
            return
        self._lanes[update.lane] = deque([update])
        task = asyncio.get_running_loop().create_task(self._serve(update.lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, name: str) -> None:
        lane = self._lanes[name]
        while lane and self._open:
            update = lane[0]
            if not self._updates.expired(update):
                delay = await self._attempt(update)
                if delay is not None and self._courier.clock.time() + delay < update.expires_at:
                    await self._courier.clock.sleep(delay)
                    continue
            lane.popleft()
            self._updates.drop([update])
        self._lanes.pop(name, None)

    async def _attempt(self, update: Update) -> float | None:
        """Post an update once; None is success, a number the seconds until the next attempt."""
        async with self._slots:
            fault = self._courier.faults.for_delivery(self._bot_id, update.chat_id)
            kind = fault.kind if fault else None
            if kind == "refuse_webhook":
                return self._failed(update, "Connection refused")
            if fault is not None and kind == "delay_webhook":
                await self._courier.clock.sleep(fault.seconds)
            try:
                return await self._post(update, drop_answer=kind == "duplicate_delivery")
            except TimeoutError:
                return self._failed(update, "Read timeout expired")
            except aiohttp.ClientConnectorError:
                return self._failed(update, "Connection refused")
            except (aiohttp.ClientError, ValueError):
                return self._failed(update, "Connection closed")

    async def _post(self, update: Update, *, drop_answer: bool) -> float | None:
        headers = {"Content-Type": "application/json"}
        if self.hook.secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = self.hook.secret
        async with self._courier.session.post(
            self.hook.url,
            data=update.body.encode(errors="surrogatepass"),
            headers=headers,
            skip_auto_headers=("User-Agent", "Accept"),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._courier.timeout),
        ) as response:
            body = await response.read()
        if not 200 <= response.status < 300:
            self._count_gone(gone=response.status == 410)
            wrong = f"Wrong response from the webhook: {response.status} {response.reason or ''}".rstrip()
            return self._failed(update, wrong, response.headers.get("Retry-After", ""))
        self._gone_since = None
        if drop_answer:
            return 0.0
        await self._reply(response.headers.get("Content-Type", ""), body)
        return None

    def _failed(self, update: Update, message: str, retry_after: str = "") -> float:
        self.last_error = (int(self._courier.clock.time()), message)
        update.failures += 1
        if retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after), LONGEST_RETRY_AFTER)
        if update.failures == 1:
            return 0.0
        return float(min(self._courier.retry_step * 2 ** min(update.failures - 2, 10), 60.0))

    def _count_gone(self, *, gone: bool) -> None:
        now = self._courier.clock.time()
        self._gone_since = (self._gone_since or now) if gone else None
        if self._gone_since is not None and now - self._gone_since >= GONE_SECONDS:
            self._open = False
            self._updates.listener = None
            self._gone()
