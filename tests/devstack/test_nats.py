"""The embedded nats-server: what it promises, what it keeps, and how it says that it cannot start."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nats import connect
from nats.js.api import StreamConfig

from devstack.nats import Nats
from devstack.servers import NotStarted, free_port
from tests.servers import lives


def forbid_writing(folder: Path) -> None:
    """Let nobody but root write into a folder."""
    folder.chmod(0o500)


async def monitored(nats: Nats, path: str) -> dict[str, Any]:
    """Read one of the server's monitoring pages."""
    async with aiohttp.ClientSession() as session, session.get(f"{nats.monitor_url}{path}") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def publish(nats: Nats, text: str) -> int:
    """Publish to a stream of the server, which is made when it is not there; return the sequence."""
    client = await connect(nats.url)
    try:
        stream = client.jetstream()
        await stream.add_stream(StreamConfig(name="KEPT", subjects=["kept"]))
        return (await stream.publish("kept", text.encode())).seq
    finally:
        await client.close()


async def test_what_it_acknowledges_is_on_disk(nats_server: Nats) -> None:
    """JetStream syncs every write, and takes payloads of up to 1 MiB: what `prepare` insists on."""
    found = await monitored(nats_server, "/varz")

    assert found["jetstream"]["config"]["sync_always"] is True
    assert found["max_payload"] == 1024 * 1024
    assert found["version"].startswith("2.15.")


async def test_it_listens_on_this_machine_only(nats_server: Nats) -> None:
    """An embedded server has no password, so nobody else may reach it."""
    found = await monitored(nats_server, "/varz")

    assert found["host"] == "127.0.0.1"
    assert found["http_host"] == "127.0.0.1"


@pytest.mark.parametrize("how", ["restart", "kill", "reopen"])
async def test_data_and_addresses_outlive_the_server(tmp_path: Path, how: str) -> None:
    """After a restart, a kill -9 and a new start over the folder, events and ports are what they were."""
    async with Nats.open(tmp_path) as nats:
        before = nats.url, nats.monitor_url
        assert await publish(nats, "first") == 1
        if how != "reopen":
            pid = nats.pid
            if how == "kill":
                await nats.kill()
                await nats.ended()
            await nats.restart()
            assert nats.pid != pid
            assert (nats.url, nats.monitor_url) == before
            assert await publish(nats, "second") == 2
    if how == "reopen":
        async with Nats.open(tmp_path) as nats:
            assert (nats.url, nats.monitor_url) == before
            assert await publish(nats, "second") == 2


async def test_a_wanted_port_is_taken_as_it_is(tmp_path: Path) -> None:
    """Whoever names ports gets these."""
    port, monitor_port = free_port(), free_port()

    async with Nats.open(tmp_path, port=port, monitor_port=monitor_port) as nats:
        assert nats.url == f"nats://127.0.0.1:{port}"
        assert nats.monitor_url == f"http://127.0.0.1:{monitor_port}"


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """The message says which port, and for what."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(NotStarted, match=f"^port {port} for nats is taken by another program$"):
            async with Nats.open(tmp_path, port=port):
                pass


async def test_a_kept_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    """A port that nobody asked for is not worth failing for."""
    async with Nats.open(tmp_path) as nats:
        kept = int(nats.url.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", kept))
        other.listen()

        async with Nats.open(tmp_path) as nats:
            assert nats.url != f"nats://127.0.0.1:{kept}"


async def test_a_folder_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers over one folder would ruin its streams, and nats-server itself does not notice."""
    monkeypatch.setattr("devstack.servers.HOLD_SECONDS", 0.2)
    async with Nats.open(tmp_path) as nats:
        with pytest.raises(NotStarted, match="is in use by a server that runs"):
            async with Nats.open(tmp_path):
                pass

        assert await publish(nats, "first") == 1


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One line with the folder and the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(NotStarted, match=r"^cannot write to .*/file/nats: Not a directory$"):
        async with Nats.open(tmp_path / "file" / "nats"):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """One line with the folder and the reason."""
    forbid_writing(tmp_path)

    with pytest.raises(NotStarted, match=r"^cannot write to .*: Permission denied$"):
        async with Nats.open(tmp_path):
            pass


async def test_a_server_that_ends_at_once_points_to_its_log(tmp_path: Path) -> None:
    """What nats-server has to say about its folder is in its log, and the message says where that is."""
    (tmp_path / "jetstream").touch()

    with pytest.raises(NotStarted, match=r"nats-server ended at once; see .*/nats\.log"):
        async with Nats.open(tmp_path):
            pass


ROOT = Path(__file__).parents[2]
PARENT = """
import asyncio, json, sys
from pathlib import Path
from devstack.nats import Nats
from devstack.postgres import Postgres

async def main(folder):
    async with Nats.open(folder / "nats") as nats, Postgres.open(folder / "postgres") as postgres:
        print(json.dumps([nats.pid, postgres.pid]), flush=True)
        await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_servers_die_with_their_parent(tmp_path: Path) -> None:
    """Kill -9 of whoever started them leaves no server behind, and the next start finds the folders free."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert parent.stdout is not None
        pids = json.loads(await parent.stdout.readline())
    finally:
        parent.kill()
        await parent.communicate()

    async with Nats.open(tmp_path / "nats") as nats:
        assert await publish(nats, "first") == 1
    async with asyncio.timeout(150):
        while any(lives(pid) for pid in pids):
            await asyncio.sleep(0.02)
