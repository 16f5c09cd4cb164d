"""Prepare broker and database, then exit: checks, streams and durables, roles and databases, migrations.

Running it again changes only what differs. It refuses a broker that does not fsync before it
confirms (`sync_interval: always`), unless NATS_SYNC_UNVERIFIED=accept says that somebody knows.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from pydantic import AfterValidator, Field, SecretStr, field_validator
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from shared import settings as shared_settings
from shared.bus.errors import BusUnavailable
from shared.bus.provisioning import Change, Provisioner
from shared.database import create_role_and_database, is_unavailable
from shared.migrations import migrate

SERVICES = ("scheduler", "clicks", "senders", "gateway")
NEEDED_PAYLOAD = 64 * 1024
ATTEMPTS = 30
AGAIN_SECONDS = 1.0

_REASONS = {
    "28P01": "the database refuses this user or password",
    "28000": "the database refuses this user or password",
    "3D000": "there is no such database; create it, or set DATABASE_URL to a role that may",
    "42501": "this role lacks a permission; it has to be allowed to create roles, databases or tables",
}
"""What SQLSTATEs mean for the person who wrote the URLs."""


class NotPrepared(Exception):
    """Something is not as production needs it; the message says what, and what to do."""


class Away(NotPrepared):
    """What is to be prepared cannot be reached; it may be starting."""


class PrepareSettings(shared_settings.Settings):
    """What preparing needs: where the broker and the databases are, and how many replicas streams have."""

    nats_monitor_url: (
        Annotated[str, AfterValidator(lambda url: shared_settings.check_url(url, "http", "https"))] | None
    ) = None
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
    syncs = bool(jetstream.get("sync_always"))
    if not syncs and settings.nats_sync_unverified != "accept":
        raise NotPrepared(
            "the broker confirms before it has written to disk: acknowledged events would be lost in a "
            "power cut; set 'sync_interval: always' in the jetstream block of nats-server's configuration"
        )
    if (size := int(variables.get("max_payload", 0))) < NEEDED_PAYLOAD:
        raise NotPrepared(f"the broker's max_payload is {size}; at least {NEEDED_PAYLOAD} is needed")
    accepted = "sync_interval lets events be lost, as accepted by NATS_SYNC_UNVERIFIED"
    say(f"broker: {'sync_interval is always' if syncs else accepted}")


async def declare(settings: PrepareSettings) -> list[Change]:
    """Add or update the streams and durables."""
    try:
        async with Provisioner.open(
            settings.nats_url, replicas=settings.nats_replicas, ack_wait_seconds=settings.ack_wait_seconds
        ) as provisioner:
            return await provisioner.apply()
    except BusUnavailable as error:
        raise Away(f"NATS_URL: {error}") from None


async def prepare_databases(settings: PrepareSettings, say: Callable[[str], None]) -> None:
    """Create each service's login role and database where DATABASE_URL may, and migrate all of them."""
    for service, url in settings.service_urls().items():
        if settings.database_url:
            with _named("DATABASE_URL"):
                await create_role_and_database(settings.database_url.get_secret_value(), url)
        with _named(f"{service.upper()}_DATABASE_URL"):
            await asyncio.to_thread(migrate, service, url)
        say(f"database: {service} is at its newest revision")


@contextmanager
def _named(variable: str) -> Iterator[None]:
    """Say which variable's database made trouble, without what the database or the URL says."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        state = str(getattr(cause, "sqlstate", None) or "")
        if is_unavailable(error):
            raise Away(f"{variable}: the database cannot be reached ({type(error).__name__})") from None
        reason = _REASONS.get(state, f"{type(cause).__name__} {state}".strip())
        raise NotPrepared(f"{variable}: {reason}") from None


async def _monitor(url: str) -> dict[str, Any]:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"{url}/varz") as answer,
        ):
            found: dict[str, Any] = await answer.json(content_type=None)
            return found
    except (aiohttp.ClientError, OSError, ValueError):
        where = urlsplit(url)
        raise Away(f"NATS_MONITOR_URL: no monitoring at {where.hostname}:{where.port}") from None


async def _prepare_patiently(settings: PrepareSettings) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await prepare(settings, lambda line: print(line, flush=True))
        except Away:
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(AGAIN_SECONDS)
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
