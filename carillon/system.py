"""How a command finds its system: `--stack`, CARILLON_STACK, `.carillon/stack.json`, the environment."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Self

import orjson
import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from carillon.output import fail
from shared.bus import Bus, BusUnavailable

SERVICES = ("scheduler", "clicks", "senders", "gateway")
DEFAULT_FOLDER = Path(".carillon")

StackOption = Annotated[
    Path | None,
    typer.Option("--stack", help="The JSON file that `carillon up --ready-file` wrote.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


class System(BaseModel):
    """Addresses, keys and process ids of a system; what a command does not need may be missing."""

    model_config = ConfigDict(extra="ignore")

    gateway_url: str | None = None
    owner_key: str | None = None
    service_key: str | None = None
    telegram_api_url: str | None = None
    telegram_control_url: str | None = None
    smtp_control_url: str | None = None
    push_control_url: str | None = None
    nats_url: str | None = None
    nats_monitor_url: str | None = None
    database_urls: dict[str, str] = {}
    service_urls: dict[str, list[str]] = {}
    pids: dict[str, list[int]] = {}
    webhook_url: str | None = None
    webhook_secret: str | None = None
    bot_token: str | None = None
    bot_username: str | None = None
    chat_ids: list[int] = []

    @classmethod
    def find(cls, file: Path | None) -> Self:
        """Find the system that a command is about; ends the command with one line when there is none."""
        for candidate, where in (
            (file, "--stack"),
            (_path(os.environ.get("CARILLON_STACK")), "CARILLON_STACK"),
            (DEFAULT_FOLDER / "stack.json", ".carillon"),
        ):
            if candidate is None or (where == ".carillon" and not candidate.exists()):
                continue
            return cls.read(candidate, where)
        return cls.from_environment()

    @classmethod
    def read(cls, file: Path, where: str) -> Self:
        """Read a stack file; `where` names the option or variable in the error."""
        try:
            return cls.model_validate(orjson.loads(file.read_bytes()))
        except OSError as error:
            problem = f"cannot read {file}: {error.strerror}"
        except (orjson.JSONDecodeError, ValidationError):
            problem = f"{file} is not a stack file of carillon up"
        fail(f"{where}: {problem}")

    @classmethod
    def from_environment(cls) -> Self:
        """Take the system from NATS_URL, <SERVICE>_DATABASE_URL and NATS_MONITOR_URL."""
        urls = {name: _secret(f"{name.upper()}_DATABASE_URL") for name in SERVICES}
        return cls(
            nats_url=os.environ.get("NATS_URL"),
            nats_monitor_url=os.environ.get("NATS_MONITOR_URL"),
            database_urls={name: url for name, url in urls.items() if url},
        )

    def database_url(self, service: str) -> str:
        """Return the database URL of a service; ends the command when it is not known."""
        if url := self.database_urls.get(service):
            return url
        fail(f"no database of {service} is known: start `carillon up`, or set {service.upper()}_DATABASE_URL")

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """Connect to the system's broker; ends the command when none is known."""
        if not self.nats_url:
            fail("no broker is known: start `carillon up`, name its file with --stack, or set NATS_URL")
        try:
            async with Bus.open(self.nats_url, service="carillon", connect_attempts=3) as bus:
                yield bus
        except BusUnavailable as error:
            fail(f"the broker of this system cannot be used: {error}", code=1)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _secret(name: str) -> str | None:
    if value := os.environ.get(name):
        return value
    file = os.environ.get(f"{name}_FILE")
    return Path(file).read_text().strip() if file else None
