"""Migrations over what a system has really written: back, step by step, and forth again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from alembic.script import ScriptDirectory

from devstack.postgres import Postgres
from shared.migrations import check, configuration, downgrade, migrate
from tests.journeys.conftest import World, start, stop

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("migrations"), pytest.mark.timeout(900)]

SERVICES = ("scheduler", "clicks", "senders", "gateway")


async def live(world: World) -> None:
    """Have something of everything happen."""
    promo = await world.promo()
    press = {"chat_id": promo["chat_id"], "message_id": promo["message_id"], "user_id": 1002}
    await world.telegram("/press", press)
    for words in ("/start premium", "/newsletter on", "/guides open risk_first", "/guides save risk_first",
                  "/settings quiet 22-7", "/nonsense"):  # fmt: skip
        await world.telegram("/send", {"chat_id": 1002, "user_id": 1002, "text": words, "wait": 20})
    users = [str(uuid4()) for _ in range(3)]
    for number, user in enumerate(users):
        await world.api("PUT", f"/recipients/{user}", {"email": f"{number}@example.com", "language": "es"})
        keys = await world.push("/subscriptions", {})
        given = {name: keys[name] for name in ("endpoint", "p256dh", "auth")}
        await world.api("POST", f"/recipients/{user}/push-subscriptions", given)
    await world.telegram("/chats/1003/flags", {"user_blocked": True})
    body = {"text": "To all of you"}
    asked: dict[str, Any] = {
        "channel": "email",
        "body": body,
        "recipients": [{"user_id": each} for each in users],
    }
    status, _ = await world.api("POST", "/campaigns", asked)
    assert status < 300
    for _ in range(2):
        status, made = await world.api("POST", "/messages", {"user_id": users[0], "body": body})
        assert status == 202
        await world.message(made["id"])
    clicks = await world.api("GET", "/clicks")
    assert clicks[1]["items"]

    async def done() -> bool:
        waiting = "SELECT count(*) FROM telegram_webhooks WHERE status = 'received'"
        return await world.rows("gateway", waiting) == 0

    await world.until(done)
    assert world.running.audit()["balanced"]


async def contents(url: str) -> dict[str, dict[str, list[str]]]:
    """Return what every table holds, column by column, in an order that does not depend on the others."""
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetch(
            "SELECT c.table_name, c.column_name FROM information_schema.columns c "
            "JOIN information_schema.tables t USING (table_schema, table_name) "
            "WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> 'alembic_version'"
        )
        found: dict[str, dict[str, list[str]]] = {}
        for table, column in columns:
            question = f'SELECT "{column}"::text AS value FROM "{table}"'  # noqa: S608 - names from the catalogue
            rows = await connection.fetch(question)
            found.setdefault(table, {})[column] = sorted(str(row["value"]) for row in rows)
        return found
    finally:
        await connection.close()


def lost(before: dict[str, dict[str, list[str]]], after: dict[str, dict[str, list[str]]]) -> list[str]:
    """Return the columns that are in both and do not hold the same."""
    return [
        f"{table}.{column}"
        for table in before.keys() & after.keys()
        for column in before[table].keys() & after[table].keys()
        if before[table][column] != after[table][column]
    ]


def revisions(service: str) -> Iterator[str]:
    """Yield a service's revisions below its newest one, the newest first."""
    script = ScriptDirectory.from_config(configuration(service, ""))
    found = [each.revision for each in script.walk_revisions()]
    yield from found[1:]


async def test_migrations_go_back_and_forth_over_real_data(tmp_path: Path) -> None:
    """Each revision can be taken back and made again: what both know keeps its rows, the tables are right."""
    running = start(tmp_path / "stack")
    async with aiohttp.ClientSession() as session:
        await live(World(running, session))
    urls = running.system.database_urls
    assert stop(running) == 0
    async with Postgres.open(tmp_path / "stack" / "postgres") as postgres:
        port = urlsplit(postgres.url).port
        for service in SERVICES:
            parts = urlsplit(urls[service])
            where = parts.netloc.rpartition(":")[0]
            url = urlunsplit(parts._replace(netloc=f"{where}:{port}"))
            await back_and_forth(service, url)


async def back_and_forth(service: str, url: str) -> None:
    """Take a service back to each of its revisions, and forth to the newest again."""
    before = await contents(url)
    assert sum(len(next(iter(columns.values()))) for columns in before.values()) > 3, service
    await asyncio.to_thread(check, service, url)
    for revision in revisions(service):
        await asyncio.to_thread(downgrade, service, url, revision)
        there = await contents(url)
        assert lost(before, there) == [], (service, revision)
        await asyncio.to_thread(migrate, service, url)
        await asyncio.to_thread(check, service, url)
        assert lost(there, await contents(url)) == [], (service, revision)
        before = await contents(url)
    await asyncio.to_thread(downgrade, service, url)
    assert await contents(url) == {}
    await asyncio.to_thread(migrate, service, url)
    await asyncio.to_thread(check, service, url)
