"""The embedded PostgreSQL: what it promises, what it keeps, and how it says that it cannot start."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from devstack.postgres import NOBODY, Postgres
from devstack.servers import NotStarted, free_port

ROOT = Path(__file__).parents[2]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")


def forbid_writing(folder: Path) -> None:
    """Let nobody but root write into a folder."""
    folder.chmod(0o500)


def owner_of(pid: int) -> int:
    """Return the id of the user that a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


async def ask(postgres: Postgres, question: str) -> object:
    """Ask the server one question as its superuser."""
    connection = await asyncpg.connect(postgres.url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_it_is_postgresql_18_on_this_machine_only(postgres_server: Postgres) -> None:
    """The version that the project is built for; nobody else can reach it."""
    assert str(await ask(postgres_server, "SHOW server_version")).startswith("18.")
    assert await ask(postgres_server, "SHOW listen_addresses") == "127.0.0.1"
    assert await ask(postgres_server, "SHOW server_encoding") == "UTF8"
    assert await ask(postgres_server, "SHOW timezone") == "UTC"


async def test_it_wants_its_password(postgres_server: Postgres) -> None:
    """Other users of the machine can reach 127.0.0.1 too."""
    where = postgres_server.url.rpartition("@")[2]

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:guessed@{where}")


async def test_it_never_runs_as_root(postgres_server: Postgres) -> None:
    """Started by root it runs as nobody; started by anybody else, as them."""
    assert owner_of(postgres_server.pid) == (NOBODY if os.geteuid() == 0 else os.geteuid())


@pytest.mark.parametrize(("ephemeral", "fsync"), [(False, "on"), (True, "off")])
async def test_only_what_is_thrown_away_is_not_synced(tmp_path: Path, ephemeral: bool, fsync: str) -> None:
    """What a committed transaction wrote survives a power cut, but for data that dies with its folder."""
    async with Postgres.open(tmp_path, ephemeral=ephemeral) as postgres:
        assert await ask(postgres, "SHOW fsync") == fsync
        assert await ask(postgres, "SHOW synchronous_commit") == fsync


async def kill_postmaster(postgres: Postgres) -> None:
    """Kill -9 the server itself; its children find out by themselves."""
    os.kill(postgres.pid, signal.SIGKILL)
    await postgres.ended()


async def kill(postgres: Postgres) -> None:
    """End the server as its own `kill` does."""
    await postgres.kill()


async def nothing(_: Postgres) -> None:
    """Leave the server running: restarting it is enough."""


@pytest.mark.parametrize("harm", [nothing, kill, kill_postmaster])
async def test_data_and_address_outlive_the_server(
    tmp_path: Path, harm: Callable[[Postgres], Awaitable[None]]
) -> None:
    """After a restart and after a crash, a stale postmaster.pid or not, rows and port are what they were."""
    async with Postgres.open(tmp_path) as postgres:
        url, pid = postgres.url, postgres.pid
        await ask(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")

        await harm(postgres)
        await postgres.restart()

        assert postgres.url == url
        assert postgres.pid != pid
        assert await ask(postgres, "SELECT answer FROM kept") == 42


async def test_a_folder_is_opened_again(tmp_path: Path) -> None:
    """A stack that stopped yesterday goes on today, under the same address and password."""
    async with Postgres.open(tmp_path) as postgres:
        url = postgres.url
        await ask(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")

    async with Postgres.open(tmp_path) as postgres:
        assert postgres.url == url
        assert await ask(postgres, "SELECT answer FROM kept") == 42


async def test_a_stop_waits_for_nobody(tmp_path: Path) -> None:
    """Open connections are cut, so that Ctrl-C ends a stack at once."""
    async with asyncio.timeout(60):
        async with Postgres.open(tmp_path, ephemeral=True) as postgres:
            connection = await asyncpg.connect(postgres.url)
            sleeping = asyncio.create_task(connection.fetchval("SELECT pg_sleep(60)"))
            await asyncio.sleep(0.05)
        with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
            await sleeping


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """The message says which port, and for what."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(NotStarted, match=f"^port {port} for postgres is taken by another program$"):
            async with Postgres.open(tmp_path, port=port):
                pass


async def test_a_wanted_port_is_taken_as_it_is(tmp_path: Path) -> None:
    """Whoever names a port gets it."""
    port = free_port()

    async with Postgres.open(tmp_path, port=port, ephemeral=True) as postgres:
        assert f"@127.0.0.1:{port}/" in postgres.url


async def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    """Both versions are named, and the data is not touched."""
    async with Postgres.open(tmp_path, ephemeral=True):
        pass
    version = tmp_path / "data" / "PG_VERSION"
    version.write_text("16\n")

    with pytest.raises(NotStarted, match=r"data of PostgreSQL 16, this is 18: dump it"):
        async with Postgres.open(tmp_path):
            pass

    assert version.read_text() == "16\n"


async def test_an_initialisation_that_was_cut_short_is_repeated(tmp_path: Path) -> None:
    """Half a data folder looks like a whole one; a Ctrl-C in the first second must not cost the folder."""
    unfinished = tmp_path / "data.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    async with Postgres.open(tmp_path, ephemeral=True) as postgres:
        assert await ask(postgres, "SELECT 1") == 1

    assert not unfinished.exists()


async def test_a_folder_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second stack over the folder is told so and does the first no harm."""
    monkeypatch.setattr("devstack.servers.HOLD_SECONDS", 0.2)
    async with Postgres.open(tmp_path, ephemeral=True) as postgres:
        with pytest.raises(NotStarted, match="is in use by a server that runs"):
            async with Postgres.open(tmp_path):
                pass

        assert await ask(postgres, "SELECT 1") == 1


@as_root
async def test_data_of_another_user_is_refused(tmp_path: Path) -> None:
    """PostgreSQL serves its owner's data only; the message names both users."""
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 1234, 1234)

    with pytest.raises(NotStarted, match=r"belongs to the user with id 1234, PostgreSQL would run as 65534"):
        async with Postgres.open(tmp_path):
            pass


NAMELESS = """
import asyncio, os, sys
from pathlib import Path
from devstack.postgres import Postgres
from devstack.servers import NotStarted

async def main(folder):
    os.setuid(54_321)
    try:
        async with Postgres.open(folder):
            pass
    except NotStarted as error:
        print(error)

asyncio.run(main(Path(sys.argv[1])))
"""


@as_root
async def test_a_user_without_a_name_is_told_so() -> None:
    """A container may run under an id that no passwd file knows, and PostgreSQL will not."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chown(folder, 54_321, 54_321)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", NAMELESS, folder, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()

    assert said.startswith(b"PostgreSQL needs a user with a name, and id 54321 has none here")


@as_root
async def test_a_folder_that_only_root_may_enter_will_do(tmp_path: Path) -> None:
    """A checkout below root's home works, and its permissions stay what they were."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    async with Postgres.open(closed / "postgres", ephemeral=True) as postgres:
        assert await ask(postgres, "SELECT 1") == 1

    assert closed.stat().st_mode & 0o777 == 0o700
    assert (closed / "postgres" / "postgres.password").stat().st_mode & 0o777 == 0o600


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One line with the folder and the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(NotStarted, match=r"^cannot write to .*/file/postgres: Not a directory$"):
        async with Postgres.open(tmp_path / "file" / "postgres"):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """One line with the folder and the reason."""
    forbid_writing(tmp_path)

    with pytest.raises(NotStarted, match=r"^cannot write to .*: Permission denied$"):
        async with Postgres.open(tmp_path):
            pass


async def test_a_lost_password_is_said(tmp_path: Path) -> None:
    """Data whose password file is gone is recognised, not waited for."""
    async with Postgres.open(tmp_path, ephemeral=True):
        pass
    (tmp_path / "postgres.password").unlink()

    with pytest.raises(NotStarted, match="belongs to a server with another password"):
        async with Postgres.open(tmp_path):
            pass
