"""The command line and a stack's life: restarts, replicas, and a clear line for whatever is wrong."""

import asyncio
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from carillon.__main__ import main
from tests.journeys.conftest import World, environment, start, stop

pytestmark = pytest.mark.timeout(300)
# One whole stack of a group at a time: several at once would only wait for each other.
STACKS = pytest.mark.xdist_group("commands")
DATABASES = {
    f"{name}_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c"
    for name in ("SCHEDULER", "CLICKS", "SENDERS", "GATEWAY")
}


def _run(*arguments: str, folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True, text=True, timeout=120, cwd=folder, env=environment(**more), check=False,
    )  # fmt: skip


@STACKS
async def test_a_restart_keeps_data_and_posts_nothing_again(tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM stop everything; over the same data no slot is posted twice, clicks are kept."""
    running = start(tmp_path / "stack", "--replicas", "senders=2")
    pids = [pid for each in running.system.pids.values() for pid in each]
    assert len(running.system.pids["senders"]) == 2
    async with aiohttp.ClientSession() as session:
        world = World(running, session)
        promo = await world.promo()
        await world.telegram(
            "/press", {"chat_id": promo["chat_id"], "message_id": promo["message_id"], "user_id": 1001}
        )
        assert running.audit()["balanced"]
    assert stop(running) == 0
    assert not [pid for pid in pids if _runs(pid)]

    again = start(tmp_path / "stack")
    async with aiohttp.ClientSession() as session:
        world = World(again, session)
        assert again.system.owner_key == running.system.owner_key
        assert await world.rows("clicks", "SELECT count(*) FROM marketing_clicks") == 1
        assert await world.sent() == []
        assert again.audit()["balanced"]
    os.kill(again.process.pid, signal.SIGTERM)
    assert again.process.wait(60) == 0


@STACKS
@pytest.mark.slow
async def test_nothing_is_left_behind_when_up_is_killed(tmp_path: Path) -> None:
    """Kill -9 of `carillon up` takes its servers and services along."""
    running = start(tmp_path / "stack")
    pids = [pid for each in running.system.pids.values() for pid in each]
    running.process.kill()
    running.process.wait()
    deadline = time.monotonic() + 60
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "something is left behind"
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("carillon", "up", "--replicas", "senders=many"), "--replicas is 'senders=many'"),
        (("carillon", "up", "--replicas", "nobody=2"), "--replicas is 'nobody=2'"),
        (("carillon", "audit", "--stack", "nowhere.json"), "--stack: cannot read nowhere.json"),
        (("carillon", "dlq", "list"), "no broker is known"),
        (("carillon", "keys", "list"), "no database of gateway is known"),
        (("carillon", "dlq", "replay"), "say which"),
        (("carillon", "demo", "--break", "everything"), "--break is 'everything'"),
        (("carillon", "keys", "create", "x", "--role", "king"), "--role is 'king'"),
    ],
)
def test_a_wrong_call_gets_one_line(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever is wrong with a call is said in one line, without a traceback."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", list(arguments))

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr().err
    assert ended.value.code != 0
    assert words in said
    assert len(said.strip().splitlines()) == 1


def test_a_wrong_call_ends_its_process(tmp_path: Path) -> None:
    """The command line as a process says its one line on stderr, and exits with 2."""
    done = _run("carillon", "audit", "--stack", "nowhere.json", folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("carillon: --stack: cannot read nowhere.json")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("service", "settings", "words"),
    [
        ("scheduler", {"PROMO_INTERVAL_HOURS": "0"}, "PROMO_INTERVAL_HOURS is '0'"),
        ("scheduler", {"PROMO_INTERVAL_HOURS": "often"}, "PROMO_INTERVAL_HOURS is 'often'"),
        ("scheduler", {"PROMO_CHAT_IDS": "12,13"}, "PROMO_CHAT_IDS is '12,13'"),
        ("clicks", {"CLICKS_DATABASE_URL": ""}, "CLICKS_DATABASE_URL"),
        ("clicks", {"LISTEN": "here"}, "LISTEN is 'here'"),
        ("senders", {"SMTP_HOST": "localhost"}, "SMTP_FROM is not set"),
        ("senders", {"TELEGRAM_BOT_TOKEN": "nonsense-secret"}, "TELEGRAM_BOT_TOKEN is not a bot token"),
        ("gateway", {"TELEGRAM_BOT_TOKEN": "12345:" + "x" * 35}, "TELEGRAM_WEBHOOK_SECRET"),
    ],
)
def test_a_service_refuses_senseless_settings(
    service: str,
    settings: dict[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A service does not start with a senseless setting: one line names it, and never a secret's value."""
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    for name, value in (DATABASES | settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"services.{service}", run_name="__main__")

    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in said
    assert "nonsense-secret" not in said
    assert len(said.strip().splitlines()) == 1


def test_a_service_with_senseless_settings_ends_its_process(tmp_path: Path) -> None:
    """As a process it says its one line on stderr, without a traceback or a secret, and exits with 2."""
    done = _run("services.clicks", folder=tmp_path, **DATABASES, NATS_URL="nonsense-secret")
    assert done.returncode == 2
    assert "NATS_URL" in done.stderr
    assert "nonsense-secret" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """A data folder that cannot be written is said in one line."""
    file = tmp_path / "file"
    file.touch()
    done = _run("carillon", "up", "--folder", str(file / "below"), folder=tmp_path)
    assert done.returncode == 1
    assert "cannot write to" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """A port that another program has is said in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = _run("carillon", "up", "--ephemeral", "--port", str(port), folder=tmp_path)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
