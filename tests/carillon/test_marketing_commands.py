"""`carillon promo` and `carillon schedule`, against a scheduler that runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner

from carillon import promo, schedule
from carillon.system import System
from services.scheduler.app import app
from services.scheduler.settings import SchedulerSettings
from shared.bus import Bus
from shared.service import Service
from tests.peers import answering
from tests.servers import AnyNats

FreshDatabase = Callable[[str], Awaitable[str]]


class Commands:
    """The command line, as somebody types it."""

    def __init__(self, stack: Path) -> None:
        self._stack = str(stack)

    async def run(self, group: Typer, *words: str, code: int = 0) -> str:
        """Run a command that ends with this code; return what it prints."""
        done = await asyncio.to_thread(CliRunner().invoke, group, [*words, "--stack", self._stack])
        assert done.exit_code == code, done.output
        return done.output

    async def told(self, group: Typer, *words: str) -> Any:
        """Run a command and read its JSON, whatever the service logs before it."""
        printed = await self.run(group, *words, "--json")
        begin = min(at for at in (printed.find("\n{"), printed.find("\n["), len(printed)) if at >= 0)
        start = 0 if printed[0] in "[{" else begin + 1
        return json.JSONDecoder().raw_decode(printed[start:])[0]


@pytest.fixture
async def commands(
    prepared_nats: AnyNats, fresh_database: FreshDatabase, tmp_path: Path
) -> AsyncIterator[Commands]:
    """Run scheduler with its four shipped promos, and nowhere to post them."""
    settings = SchedulerSettings(
        nats_url=prepared_nats.url, scheduler_database_url=await fresh_database("scheduler"),
        promo_chat_ids=(),
    )  # fmt: skip
    file = tmp_path / "stack.json"
    file.write_text(System(nats_url=prepared_nats.url).model_dump_json())
    async with app(settings, Service("scheduler")):
        async with Bus.open(prepared_nats.url, service="tests") as bus, asyncio.timeout(60):
            await answering(bus)
        yield Commands(file)


async def test_a_catalogue_is_kept_by_commands(commands: Commands) -> None:
    """A promo is made, previewed, edited, put first and switched off; what Telegram refuses is refused."""
    made = await commands.told(
        promo.app, "create", "spring", "--title", "Spring", "--cta", "Go", "--payload", "spring",
        "--description", "Sales *and* more",
    )  # fmt: skip
    assert (made["id"], made["enabled"], made["position"]) == ("spring", True, 5)

    dry = await commands.told(promo.app, "edit", "spring", "--title", "Summer", "--preview")
    kept = await commands.told(promo.app, "show", "spring")
    assert (dry["plain"].splitlines()[0], kept["title"]) == ("Summer", "Spring")

    await commands.told(promo.app, "edit", "spring", "--title", "Summer")
    shown = await commands.run(promo.app, "preview", "spring")
    assert "Summer" in shown
    assert "[ Go ] → spring" in shown
    order = await commands.run(promo.app, "reorder", "spring", "analytics")
    assert order.strip().splitlines()[-1].startswith("spring → analytics → premium_signals")
    assert (await commands.told(promo.app, "disable", "spring"))["enabled"] is False

    refused = ("edit", "spring", "--description", "un*closed", "--markdown")
    assert "Can't find end of Bold entity" in await commands.run(promo.app, *refused, code=1)
    assert "spring" in await commands.run(promo.app, "delete", "spring")
    assert "spring" not in [each["id"] for each in await commands.told(promo.app, "list")]


async def test_schedules_are_kept_by_commands(commands: Commands) -> None:
    """A schedule is made, planned without being started, started, paused until a time, and goes on."""
    made = await commands.told(
        schedule.app, "create", "evenings", "--cron", "0 20 * * *", "--zone", "Europe/Berlin",
        "--chat", "-1001", "--promo", "analytics",
    )  # fmt: skip
    assert (made["status"], made["chat_ids"], made["promo_ids"]) == ("not_scheduled", [-1001], ["analytics"])

    planned = await commands.told(schedule.app, "plan", "evenings", "--limit", "2")
    assert [each["promo_id"] for each in planned["items"]] == ["analytics", "analytics"]
    assert (await commands.told(schedule.app, "show", "evenings"))["status"] == "not_scheduled"

    assert (await commands.told(schedule.app, "start", "evenings"))["status"] == "scheduled"
    assert "nothing has changed" in await commands.run(schedule.app, "start", "evenings")
    until = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    paused = await commands.told(schedule.app, "pause", "evenings", "--until", until.isoformat())
    assert paused["status"] == "paused"
    assert datetime.fromisoformat(paused["paused_until"]) == until
    assert datetime.fromisoformat(paused["next_run"]) >= until
    assert (await commands.told(schedule.app, "resume", "evenings"))["status"] == "scheduled"

    edited = await commands.told(schedule.app, "edit", "evenings", "--every", "30m", "--all-promos")
    assert (edited["interval_seconds"], edited["cron"], edited["all_promos"]) == (1800.0, None, True)
    assert "past" in await commands.run(
        schedule.app, "pause", "evenings", "--until", "2020-01-01T00:00Z", code=1
    )
    assert "no time span" in await commands.run(schedule.app, "edit", "evenings", "--every", "soon", code=2)
