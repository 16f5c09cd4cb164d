"""Prepare broker and database, then exit: checks, streams and durables, roles and databases, migrations.

Running it again changes only what differs. It refuses a broker that does not fsync before it
confirms (`sync_interval: always`), unless NATS_SYNC_UNVERIFIED=accept says that somebody knows.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import Field, SecretStr, field_validator

from shared import settings as shared_settings
from shared.bus.provisioning import Change, Provisioner
from shared.database import create_role_and_database, is_unavailable
from shared.migrations import migrate

SERVICES = ("scheduler", "clicks", "senders", "gateway")
NEEDED_PAYLOAD = 64 * 1024
ATTEMPTS = 30


class NotPrepared(Exception):
    """Something is not as production needs it; the message says what, and what to do."""


class PrepareSettings(shared_settings.Settings):
    """What preparing needs: where the broker and the databases are, and how many replicas streams have."""

    nats_monitor_url: str | None = None
    nats_sync_unverified: str = ""
    nats_replicas: int = Field(default=1, ge=1, le=5)
    database_url: SecretStr | None = None
    scheduler_database_url: SecretStr
    clicks_database_url: SecretStr
    senders_database_url: SecretStr
    gateway_database_url: SecretStr

    @field_validator("nats_sync_unverified")
    @classmethod
    def _accept_or_nothing(cls, value: str) -> str:
        if value not in ("", "accept"):
            raise ValueError("expected 'accept', or nothing")
        return value

    def service_urls(self) -> dict[str, str]:
        """Return the database URL of every service."""
        return {name: getattr(self, f"{name}_database_url").get_secret_value() for name in SERVICES}


async def prepare(settings: PrepareSettings, say: Callable[[str], None] = lambda _line: None) -> list[Change]:
    """Do all of it; return what was changed on the broker. Raises NotPrepared with one line."""
    await check_broker(settings, say)
    changes = await declare(settings)
    done = [change for change in changes if change.done != "unchanged"]
    say(f"topology: {len(changes)} streams and durables, {len(done)} changed")
    await prepare_databases(settings, say)
    return changes


async def check_broker(settings: PrepareSettings, say: Callable[[str], None]) -> None:
    """Refuse a broker that confirms before it has fsynced, or takes too small messages."""
    if settings.nats_monitor_url is None:
        if settings.nats_sync_unverified != "accept":
            raise NotPrepared(
                "NATS_MONITOR_URL is not set, so sync_interval cannot be checked; "
                "set it, or set NATS_SYNC_UNVERIFIED=accept if you know that it is 'always'"
            )
        say("broker: sync_interval not verified, as accepted by NATS_SYNC_UNVERIFIED")
        return
    variables = await _monitor(settings.nats_monitor_url)
    jetstream = variables.get("jetstream", {}).get("config", {})
    if not jetstream.get("sync_always") and settings.nats_sync_unverified != "accept":
        raise NotPrepared(
            "the broker confirms before it has written to disk: acknowledged events would be lost in a "
            "power cut; set 'sync_interval: always' in the jetstream block of nats-server's configuration"
        )
    if (size := int(variables.get("max_payload", 0))) < NEEDED_PAYLOAD:
        raise NotPrepared(f"the broker's max_payload is {size}; at least {NEEDED_PAYLOAD} is needed")
    say("broker: sync_interval is always")


async def declare(settings: PrepareSettings) -> list[Change]:
    """Add or update the streams and durables."""
    async with Provisioner.open(
        settings.nats_url, replicas=settings.nats_replicas, ack_wait_seconds=settings.ack_wait_seconds
    ) as provisioner:
        return await provisioner.apply()


async def prepare_databases(settings: PrepareSettings, say: Callable[[str], None]) -> None:
    """Create each service's login role and database where DATABASE_URL may, and migrate all of them."""
    for service, url in settings.service_urls().items():
        if settings.database_url:
            await create_role_and_database(settings.database_url.get_secret_value(), url)
        await asyncio.to_thread(migrate, service, url)
        say(f"database: {service} is at its newest revision")


async def _monitor(url: str) -> dict[str, Any]:
    for _ in range(ATTEMPTS):
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url.rstrip('/')}/varz") as answer:
                found: dict[str, Any] = await answer.json(content_type=None)
                return found
        except (aiohttp.ClientError, OSError, ValueError):
            await asyncio.sleep(1)
    where = urlsplit(url)
    raise NotPrepared(f"NATS_MONITOR_URL: nothing answers at {where.hostname}:{where.port}")


async def _prepare_patiently(settings: PrepareSettings) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await prepare(settings, lambda line: print(line, flush=True))
        except Exception as error:
            if not is_unavailable(error) or attempt == ATTEMPTS:
                raise
            await asyncio.sleep(1)
        else:
            return


def main(arguments: Sequence[str] = ()) -> int:
    """Prepare by the settings of the environment; return the exit code."""
    if arguments:
        print("deploy.prepare takes no arguments: it reads the environment", file=sys.stderr)
        return 2
    settings = shared_settings.load(PrepareSettings)
    try:
        asyncio.run(_prepare_patiently(settings))
    except NotPrepared as problem:
        print(f"carillon: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
