"""A headless Chromium, driven over the DevTools protocol's websocket."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--remote-debugging-port=0", "--lang=en-US",
)  # fmt: skip
SECONDS = 60.0


class Browser:
    """A browser as DevTools sees it; `session` names one of its pages or workers."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._last = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._came = asyncio.Condition()

    async def listen(self) -> None:
        """Sort what the browser says into answers and events, until it goes."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            else:
                async with self._came:
                    self._events.append(said)
                    self._came.notify_all()

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method and return its result; raises what the browser says is wrong."""
        self._last += 1
        self._waiting[self._last] = answer = asyncio.get_running_loop().create_future()
        said = {"id": self._last, "method": method, "params": parameters}
        await self._socket.send_json(said | ({"sessionId": session} if session else {}))
        async with asyncio.timeout(SECONDS):
            found = await answer
        if "error" in found:
            raise RuntimeError(f"{method}: {found['error']['message']}")
        return found["result"]

    async def event(self, method: str, fits: Callable[[Any], bool] = lambda _: True) -> dict[str, Any]:
        """Return the first event of a method, of the past too, whose parameters fit."""

        def found() -> dict[str, Any] | None:
            return next(
                (each for each in self._events if each["method"] == method and fits(each["params"])), None
            )

        async with asyncio.timeout(SECONDS), self._came:
            await self._came.wait_for(lambda: found() is not None)
            event = found()
            assert event is not None
            return event

    async def page(self, width: int = 800, height: int = 600) -> str:
        """Open an empty page and return its session."""
        target = await self.call("Target.createTarget", url="about:blank")
        session: str = await self.attach(target["targetId"])
        await self.call("Page.enable", session)
        await self.call(
            "Emulation.setDeviceMetricsOverride", session,
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        return session

    async def attach(self, target: str) -> str:
        """Return a session with a target."""
        found = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        return str(found["sessionId"])

    async def run(self, session: str, script: str) -> Any:
        """Run a script, wait for what it promises, and return its value; raises what it throws."""
        result = await self.call(
            "Runtime.evaluate", session, expression=script, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"].get("exception", {}).get("description")))
        return result["result"].get("value")

    async def until(self, session: str, script: str) -> None:
        """Wait until a script's value is true."""
        async with asyncio.timeout(SECONDS):
            while not await self.run(session, script):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """Run a browser with a profile of its own while the context lasts."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM), *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SECONDS):
            url = ""
            while not url:
                line = (await process.stderr.readline()).decode()
                assert line, "the browser ended"
                url = line.partition("DevTools listening on ")[2].strip()
        draining = asyncio.create_task(process.stderr.read())
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(url, max_msg_size=64 * 1024 * 1024) as socket,
        ):
            browser = Browser(socket)
            listening = asyncio.create_task(browser.listen())
            try:
                yield browser
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        process.kill()
        await draining
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
