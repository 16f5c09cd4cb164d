"""What the embedded servers share: folders, ports, and processes that die with their parent."""

import asyncio
import ctypes
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
HOLD_SECONDS = 10.0
"""How long a server whose parent was killed may take to end."""
RESERVED_PORTS = 128
"""For so many ports, the latest ones that it was given, a process keeps every other process off."""
_reserved: deque[int] = deque()


class NotStarted(Exception):
    """A server did not start; the message says why in one line."""


def free_port() -> int:
    """Find a port that nobody uses, below those that the system gives to outgoing connections.

    One of theirs could be gone again before the server takes it, or while a killed server starts again. For
    the same reason no other process that asks here is given it, while this one lives and has not asked for
    many more.
    """
    lowest = int(_PORTS.read_text().split()[0]) if _PORTS.exists() else 32_768
    for _ in range(100):
        port = random.randrange(10_000, max(lowest, 10_001))  # noqa: S311 - a port is no secret
        if _reserve(port) and is_free(port):
            return port
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _reserve(port: int) -> bool:
    with socket.socket(socket.AF_UNIX) as reservation:
        try:
            # A name that is in no folder: known wherever the port is, and gone with its process.
            reservation.bind(f"\0carillon-port-{port}")
        except OSError:
            return False
        _reserved.append(reservation.detach())
    if len(_reserved) > RESERVED_PORTS:
        os.close(_reserved.popleft())
    return True


def port_for(folder: Path, name: str, wanted: int) -> int:
    """Return the wanted port, else the one that the folder had before if it is free, else a free one.

    Raises NotStarted when the wanted port is taken.
    """
    if wanted:
        if not is_free(wanted):
            raise NotStarted(f"port {wanted} for {name} is taken by another program")
        return wanted
    kept = folder / f"{name}.port"
    before = int(kept.read_text()) if kept.exists() and kept.read_text().isdecimal() else 0
    port = before if before and is_free(before) else free_port()
    kept.write_text(str(port))
    return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a port can be listened on."""
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind((host, port))
        except OSError:
            return False
        return True


def make_folder(folder: Path) -> None:
    """Make a folder; raises NotStarted when that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise NotStarted(f"cannot write to {folder}: {error.strerror}") from None


@asynccontextmanager
async def held(folder: Path) -> AsyncIterator[int]:
    """Make a folder and keep others off it while the context lasts; yields the lock's file descriptor.

    A server that inherits the descriptor holds the lock as long as it lives, also when its parent is gone:
    two servers over one folder would ruin it. Raises NotStarted when it stays taken.
    """
    make_folder(folder)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        await _take(lock, folder)
        yield lock
    finally:
        os.close(lock)


async def _take(lock: int, folder: Path) -> None:
    for _ in range(round(HOLD_SECONDS / 0.05)):
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.05)
    raise NotStarted(f"{folder} is in use by a server that runs; stop it, or take another folder")


async def spawn(which: signal.Signals, *command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a process to which the kernel sends a signal when its parent dies; options are asyncio's.

    It gets a session of its own: a Ctrl-C is the parent's to handle.
    """
    bound = bound_to_parent(which)
    if bound:
        return await asyncio.create_subprocess_exec(*bound, *command, start_new_session=True, **options)
    return await asyncio.create_subprocess_exec(*command, preexec_fn=_die_with_parent(which), **options)


def bound_to_parent(which: signal.Signals) -> tuple[str, ...]:
    """Return what, put before a command, binds it to this process; nothing where that cannot be had.

    A hook in the new process does it too, but has all memory of this one copied first: dear in a large one.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or not _knows_signals(setpriv):
        return ()
    # A parent that died before the signal was asked for sends nothing any more.
    unless_orphan = ("/bin/sh", "-c", 'test "$PPID" = "$0" && exec "$@"', str(os.getpid()))
    return (setpriv, "--pdeathsig", which.name.removeprefix("SIG"), *unless_orphan)


@cache
def _knows_signals(setpriv: str) -> bool:
    # Busybox has one that does not.
    said = subprocess.run([setpriv, "--help"], capture_output=True, check=False)
    return b"--pdeathsig" in said.stdout


def _die_with_parent(which: signal.Signals) -> Callable[[], None]:
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def hook() -> None:
        os.setsid()
        libc.prctl(_PR_SET_PDEATHSIG, which)
        if os.getppid() != parent:
            os._exit(1)

    return hook


async def stop_process(process: asyncio.subprocess.Process, which: signal.Signals, seconds: float) -> None:
    """Send a signal and wait; kill what does not end in time."""
    if process.returncode is not None:
        return
    process.send_signal(which)
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
