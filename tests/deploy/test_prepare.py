"""Preparing a broker and databases: what it makes, what it refuses, and how it says so."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from deploy import prepare as preparing
from deploy.prepare import SERVICES, PrepareSettings
from devstack.servers import free_port
from shared import migrations
from tests.servers import AnyNats, AnyPostgres

ROOT = Path(__file__).parents[2]
ODD = "o'd\"d %:/@?#"
UNFSYNCED = """
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor_port}"
max_payload: {max_payload}
jetstream {{ store_dir: "{store}" }}
"""


async def forget(postgres: AnyPostgres) -> None:
    """Drop what a test had prepared."""
    admin = await asyncpg.connect(postgres.url)
    try:
        for service in SERVICES:
            await admin.execute(f"DROP DATABASE IF EXISTS prepared_{service} WITH (FORCE)")
            await admin.execute(f"DROP ROLE IF EXISTS prepared_{service}")
    finally:
        await admin.close()


@pytest.fixture
async def environment(nats_server: AnyNats, postgres_server: AnyPostgres) -> dict[str, str]:
    """What prepare is told by its environment."""
    await forget(postgres_server)
    where = postgres_server.url.rpartition("@")[2].rpartition("/")[0]
    urls = {
        f"{name.upper()}_DATABASE_URL": (
            f"postgresql://prepared_{name}:{quote(ODD + name, safe='')}@{where}/prepared_{name}"
        )
        for name in SERVICES
    }
    return {
        "NATS_URL": nats_server.url,
        "NATS_MONITOR_URL": nats_server.monitor_url,
        "DATABASE_URL": postgres_server.url,
        **urls,
    }


@pytest.fixture
def prepare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Awaitable[tuple[int, list[str], list[str]]]]:
    """Run prepare as its process does; return its exit code and the lines of both outputs."""
    monkeypatch.chdir(tmp_path)  # away from somebody's .env

    async def run(environment: dict[str, str], *, attempts: int = 1) -> tuple[int, list[str], list[str]]:
        with monkeypatch.context() as told:
            told.setattr(preparing, "ATTEMPTS", attempts)
            for name in PrepareSettings.model_fields:
                told.delenv(name.upper(), raising=False)
            for name, value in environment.items():
                told.setenv(name, value)
            capsys.readouterr()
            code = await asyncio.to_thread(preparing.main)
            said, complaints = capsys.readouterr()
        return code, said.splitlines(), complaints.splitlines()

    return run


@pytest.mark.slow
async def test_preparing_twice_is_preparing_once(environment: dict[str, str], prepare: Any) -> None:
    """The second run finds everything there, and says so; every service's tables are as declared."""
    code, _, complaints = await prepare(environment)
    assert (code, complaints) == (0, [])

    code, said, complaints = await prepare(environment)

    assert (code, complaints) == (0, [])
    assert said[1].endswith(" streams and durables, 0 changed")
    for service in SERVICES:
        await asyncio.to_thread(migrations.check, service, environment[f"{service.upper()}_DATABASE_URL"])


async def test_it_runs_as_a_module(environment: dict[str, str]) -> None:
    """`python -m deploy.prepare` is how an image runs it; arguments are refused."""

    def run(*arguments: str) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-m", "deploy.prepare", *arguments],
            env={"PATH": os.environ["PATH"], **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stderr

    assert await asyncio.to_thread(run) == (0, "")
    assert (await asyncio.to_thread(run, "--now"))[0] == 2


async def test_a_service_reaches_its_own_database_only(environment: dict[str, str], prepare: Any) -> None:
    """Law of one database and role per service: clicks cannot even connect to scheduler's."""
    assert (await prepare(environment))[0] == 0
    own = environment["CLICKS_DATABASE_URL"]

    await (await asyncpg.connect(own)).close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(own.rpartition("/")[0] + "/prepared_scheduler")


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_go_back_and_forth(environment: dict[str, str], prepare: Any, service: str) -> None:
    """As the service's own role, not as a superuser: down to nothing, up again, and as declared."""
    assert (await prepare(environment))[0] == 0
    url = environment[f"{service.upper()}_DATABASE_URL"]

    await asyncio.to_thread(migrations.downgrade, service, url)
    await asyncio.to_thread(migrations.migrate, service, url)

    await asyncio.to_thread(migrations.check, service, url)


@pytest.fixture
def lazy_broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """A nats-server as it comes, which confirms before it fsyncs; the parameter is its max_payload."""
    port, monitor_port = free_port(), free_port()
    file = tmp_path / "lazy.conf"
    file.write_text(
        UNFSYNCED.format(
            port=port, monitor_port=monitor_port, max_payload=request.param, store=tmp_path / "lazy"
        )
    )
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "nats-server"), "-c", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield {
        "NATS_URL": f"nats://127.0.0.1:{port}",
        "NATS_MONITOR_URL": f"http://127.0.0.1:{monitor_port}",
    }
    server.terminate()
    server.wait(10)


@pytest.mark.parametrize("lazy_broker", [1024 * 1024], indirect=True)
async def test_a_broker_that_does_not_sync_is_refused(
    environment: dict[str, str], prepare: Any, lazy_broker: dict[str, str]
) -> None:
    """It would lose acknowledged events in a power cut, so only somebody who says so gets it."""
    code, _, complaints = await prepare(environment | lazy_broker, attempts=30)
    assert code == 1
    assert len(complaints) == 1
    assert "sync_interval: always" in complaints[0]

    code, said, complaints = await prepare(environment | lazy_broker | {"NATS_SYNC_UNVERIFIED": "accept"})
    assert (code, complaints) == (0, [])
    assert "always" not in said[0]


@pytest.mark.parametrize("lazy_broker", [1024], indirect=True)
async def test_a_broker_for_small_messages_is_refused(
    environment: dict[str, str], prepare: Any, lazy_broker: dict[str, str]
) -> None:
    """An event that the broker does not take would be found out too late."""
    code, _, complaints = await prepare(
        environment | lazy_broker | {"NATS_SYNC_UNVERIFIED": "accept"}, attempts=30
    )

    assert (code, complaints) == (1, ["carillon: the broker's max_payload is 1024; at least 65536 is needed"])


async def test_a_broker_that_cannot_be_asked_is_refused(environment: dict[str, str], prepare: Any) -> None:
    """Without its monitoring nobody knows whether it syncs; the line says what to set."""
    del environment["NATS_MONITOR_URL"]

    code, _, complaints = await prepare(environment)

    assert (code, len(complaints)) == (1, 1)
    assert complaints[0].startswith("carillon: NATS_MONITOR_URL is not set")
    assert (await prepare(environment | {"NATS_SYNC_UNVERIFIED": "accept"}))[0] == 0


@pytest.mark.parametrize(
    ("variable", "url", "complaint"),
    [
        ("NATS_URL", "nats://127.0.0.1:1", "NATS_URL: no connection to the broker"),
        ("NATS_MONITOR_URL", "http://127.0.0.1:1", "NATS_MONITOR_URL: no monitoring at 127.0.0.1:1"),
        (
            "DATABASE_URL",
            "postgresql://u:hidden@127.0.0.1:1/p",
            "DATABASE_URL: the database cannot be reached",
        ),
    ],
)
async def test_what_is_away_is_named(
    environment: dict[str, str], prepare: Any, variable: str, url: str, complaint: str
) -> None:
    """One line with the variable, no traceback, no password."""
    code, _, complaints = await prepare(environment | {variable: url})

    assert (code, len(complaints)) == (1, 1), complaints
    assert complaints[0].startswith(f"carillon: {complaint}")
    assert "hidden" not in complaints[0]


async def test_a_wrong_password_is_named(
    environment: dict[str, str], prepare: Any, postgres_server: AnyPostgres
) -> None:
    """It is not waited for, and not shown; the administrator's and a service's alike."""
    where = postgres_server.url.rpartition("@")[2]
    refused = "the database refuses this user or password"

    found = await prepare(
        environment | {"DATABASE_URL": f"postgresql://postgres:guessed@{where}"}, attempts=9
    )
    assert (found[0], found[2]) == (1, [f"carillon: DATABASE_URL: {refused}"])

    without = {name: value for name, value in environment.items() if name != "DATABASE_URL"}
    found = await prepare(without, attempts=9)
    assert (found[0], found[2]) == (1, [f"carillon: SCHEDULER_DATABASE_URL: {refused}"])
