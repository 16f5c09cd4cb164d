"""The service runner: settings, logs, signals, an ordered start and stop, and the doors for operators.

`/healthz` says whether the event loop turns, `/readyz` whether broker and database are there, `/metrics`
gives Prometheus' text. They are answered from a thread, so that a frozen loop is noticed; a watchdog ends a
process whose loop stands still.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import orjson
import uvloop
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared import tasks, telemetry
from shared.bus.errors import BusUnavailable
from shared.database import is_unavailable
from shared.settings import Settings, host_and_port, load, secrets_of

FROZEN_SECONDS = 10.0
"""A loop that has not turned for so long is not alive."""
WATCHDOG_SECONDS = 60.0
STOP_SECONDS = 35.0
LAST_SECONDS = 3.0
"""What an app that is being cancelled still gets to clean up; then the process ends regardless."""
START_AGAIN_SECONDS = 2.0
CHECK_SECONDS = 5.0
YOUNG_OBJECTS = 10_000
"""New objects at which the garbage collector looks for cycles."""

SettingsT = TypeVar("SettingsT", bound=Settings)
App = Callable[[SettingsT, "Service"], AbstractAsyncContextManager[None]]

log = telemetry.logger(__name__)


class Service:
    """A running service, as its composition root and its operators see it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._checks: dict[str, Callable[[], Awaitable[bool]]] = {}
        self._started = False
        self._stopping = asyncio.Event()
        self._turned_at = time.monotonic()
        self.exit_code = 0

    def ready_when(self, what: str, check: Callable[[], Awaitable[bool]]) -> None:
        """Name something without which the service is not ready."""
        self._checks[what] = check

    def stop(self, reason: str, *, code: int = 1) -> None:
        """Begin an ordered stop."""
        if not self._stopping.is_set():
            (log.error if code else log.info)("service_stops", reason=reason)
            self.exit_code = code
            self._stopping.set()

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return status and body of `/healthz`; callable from any thread."""
        stands_still = time.monotonic() - self._turned_at
        alive = stands_still < FROZEN_SECONDS
        return (200 if alive else 503), {"status": "alive" if alive else "frozen", "service": self.name}

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        """Return status and body of `/readyz`."""
        missing = [] if self._started else ["start"]
        for what, check in list(self._checks.items()):
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    there = await check()
            except _UNFORESEEN as error:
                # A check that breaks says as much as one that fails.
                log.warning("check_failed", what=what, error=type(error).__name__)
                there = False
            if not there:
                missing.append(what)
        ready = not missing and not self._stopping.is_set()
        body = {"status": "ready" if ready else "not ready", "service": self.name, "missing": missing}
        return (200 if ready else 503), body

    def metrics(self) -> tuple[bytes, str]:
        """Return body and content type of `/metrics`."""
        return generate_latest(), CONTENT_TYPE_LATEST

    async def _turn(self) -> None:
        while True:
            self._turned_at = time.monotonic()
            await asyncio.sleep(0.5)

    async def _live(self, settings: SettingsT, app: "App[SettingsT]") -> None:
        turning = asyncio.create_task(self._turn())
        try:
            while not self._stopping.is_set() and not await self._life(settings, app):
                await tasks.wait(self._stopping, START_AGAIN_SECONDS)
        finally:
            turning.cancel()

    async def _life(self, settings: SettingsT, app: "App[SettingsT]") -> bool:
        """Start, run until told to stop, and stop; False when a dependency was away at the start."""
        starting = asyncio.create_task(self._run(settings, app))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set():
            _end_after(STOP_SECONDS + LAST_SECONDS)
        if not self._started and not starting.done():
            starting.cancel()
        try:
            async with asyncio.timeout(STOP_SECONDS) as limit:
                await starting
        except asyncio.CancelledError:
            return True
        except TimeoutError as error:
            if not limit.expired():
                return self._failed(error)
            log.error("stop_took_too_long", seconds=STOP_SECONDS)
            self.exit_code = 1
        except (BusUnavailable, *_UNFORESEEN) as error:
            return self._failed(error)
        finally:
            stopping.cancel()
        return True

    def _failed(self, error: Exception) -> bool:
        if not self._started and (isinstance(error, BusUnavailable) or is_unavailable(error)):
            log.warning("start_waits", error=type(error).__name__)
            return False
        log.error("service_failed", error=type(error).__name__, where=telemetry.where(error))
        self.exit_code = 1
        return True

    async def _run(self, settings: SettingsT, app: "App[SettingsT]") -> None:
        async with app(settings, self):
            _spare_collector()
            self._started = True
            log.info("service_ready")
            await self._stopping.wait()


_UNFORESEEN = (Exception,)
"""The runner is the outermost boundary of a process: what gets here has nowhere else to be told."""


def run(
    name: str, settings_class: type[SettingsT], app: "App[SettingsT]", *, serves_itself: bool = False
) -> None:
    """Run a service until SIGTERM or SIGINT, then exit the process; a second signal ends it at once.

    `serves_itself`: the service answers health, readiness and metrics on its own HTTP server.
    """
    settings = load(settings_class)
    telemetry.configure(name, level=settings.log_level)
    for secret in secrets_of(settings):
        telemetry.register_secret(secret)
    raise SystemExit(uvloop.run(_main(name, settings, app, serves_itself=serves_itself)))


async def _main(name: str, settings: SettingsT, app: "App[SettingsT]", *, serves_itself: bool) -> int:
    service = Service(name)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, _on_signal, service, each)
    threading.Thread(target=_watch, args=(service,), daemon=True).start()
    doors = None
    if not serves_itself:
        try:
            doors = _Doors(host_and_port(settings.listen), service, loop)
        except OSError as error:
            print(f"carillon: LISTEN is '{settings.listen}'; {error.strerror}", file=sys.stderr)  # noqa: T201 - for a person
            return 2
        threading.Thread(target=doors.serve_forever, daemon=True).start()
    await service._live(settings, app)  # noqa: SLF001 - the runner is the other half of the service
    if doors:
        doors.shutdown()
    log.info("service_stopped")
    return service.exit_code


def _spare_collector() -> None:
    """Have the garbage collector pass over what was made at the start, and come less often for the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _end_after(seconds: float) -> None:
    """End the process when an ordered stop does not come to its end: whoever supervises it would kill it."""

    def end() -> None:
        os.write(2, b'{"event": "stop_never_ended", "level": "critical"}\n')
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _on_signal(service: Service, which: signal.Signals) -> None:
    if service._stopping.is_set():  # noqa: SLF001 - the runner is the other half of the service
        os._exit(130)
    service.stop(which.name, code=0)


def _watch(service: Service) -> None:
    """End the process when its loop stands still: whoever supervises it starts it again."""
    while True:
        time.sleep(1)
        if time.monotonic() - service._turned_at > WATCHDOG_SECONDS:  # noqa: SLF001 - see above
            os.write(2, b'{"event": "loop_frozen", "level": "critical"}\n')
            os._exit(70)


class _Doors(ThreadingHTTPServer):
    """The operators' doors of a service, answered from threads."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], service: Service, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(address, _Door)
        self.service = service
        self.loop = loop


class _Door(BaseHTTPRequestHandler):
    """Answers one request of an operator."""

    server: _Doors
    server_version = "carillon"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer `/healthz`, `/readyz` and `/metrics`."""
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._json(*self.server.service.health())
        elif path == "/readyz":
            self._json(*self._readiness())
        elif path == "/metrics":
            body, content_type = self.server.service.metrics()
            self._send(200, body, content_type)
        else:
            self._json(404, {"status": "not found"})

    def _readiness(self) -> tuple[int, dict[str, Any]]:
        answer = asyncio.run_coroutine_threadsafe(self.server.service.readiness(), self.server.loop)
        try:
            return answer.result(3 * CHECK_SECONDS)
        except TimeoutError:
            return 503, {"status": "not ready", "service": self.server.service.name, "missing": ["loop"]}

    def _json(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, orjson.dumps(body), "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's naming
        """Keep silent: these are asked every few seconds."""
