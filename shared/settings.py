"""Settings from the environment, `.env`, and, for secrets, files named by `<NAME>_FILE`.

A missing or senseless value stops the process at start with a line that names the variable, what was found
(never a secret's value) and what is expected.
"""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SettingsT = TypeVar("SettingsT", bound="Settings")


def check_listen(value: str) -> str:
    """Return an address `host:port`; raises ValueError otherwise."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("expected host:port, such as 127.0.0.1:8080")
    return value


def check_url(value: str, *schemes: str) -> str:
    """Return a URL of one of the schemes without a trailing slash; raises ValueError otherwise."""
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in schemes or not rest:
        raise ValueError(f"expected a URL that starts with {' or '.join(f'{each}://' for each in schemes)}")
    return value.rstrip("/")


def check_seconds(value: float) -> float:
    """Return a finite number of seconds above 0; raises ValueError otherwise."""
    if not math.isfinite(value) or value <= 0:
        raise ValueError("expected numbers of seconds above 0")
    return value


class Settings(BaseSettings):
    """What every service needs. Fields are named as their variables, in lower case."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", hide_input_in_errors=True)

    nats_url: Annotated[str, AfterValidator(lambda url: check_url(url, "nats", "tls", "ws", "wss"))] = (
        "nats://127.0.0.1:4222"
    )
    listen: Annotated[str, AfterValidator(check_listen)] = "127.0.0.1:8080"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    ack_wait_seconds: Annotated[float, AfterValidator(check_seconds)] | None = None
    """Shortens every durable's ack wait, for demo and tests; unset, the topology's holds."""
    retry_seconds: Annotated[tuple[Annotated[float, AfterValidator(check_seconds)], ...], NoDecode] = Field(
        default=(1.0, 2.0, 4.0, 8.0, 16.0), description="numbers of seconds above 0, such as 1,2,4"
    )

    secret_words: ClassVar[tuple[str, ...]] = (
        "password",
        "token",
        "secret",
        "key",
        "database_url",
        "nats_url",
        "bots",
    )

    def __init__(self, **values: Any) -> None:
        known = _known()
        for name in type(self).model_fields:
            if name not in values and (found := _from_file(name.upper(), known)) is not None:
                values[name] = found
        super().__init__(**values)

    @field_validator("retry_seconds", mode="before")
    @classmethod
    def _split_seconds(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def load(settings: type[SettingsT]) -> SettingsT:
    """Read the settings; on an error print a line for each wrong variable and exit with code 2."""
    try:
        return settings()
    except ValidationError as error:
        lines = list(_lines(settings, error))
    except UnreadableFile as error:
        lines = [str(error)]
    for line in lines:
        print(f"carillon: {line}", file=sys.stderr)  # noqa: T201 - before there are logs
    raise SystemExit(2)


class UnreadableFile(Exception):
    """A file of settings, `.env` or one that a `<NAME>_FILE` variable names, cannot be read."""


def integers(value: object) -> object:
    """Read a JSON array of integers from text; raises ValueError saying what is expected."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value) if value.strip() else []
    except json.JSONDecodeError:
        raise ValueError("expected a JSON array of integers, such as [-1001234567890, 42]") from None
    if not isinstance(found, list) or any(
        isinstance(each, bool) or not isinstance(each, int) for each in found
    ):
        raise ValueError("expected a JSON array of integers, such as [-1001234567890, 42]")
    return found


def host_and_port(listen: str) -> tuple[str, int]:
    """Split what `check_listen` let pass."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def secrets_of(settings: Settings) -> Iterator[str]:
    """Yield every secret of the settings, and the credentials within their URLs."""
    for name, value in settings:
        several = value if isinstance(value, tuple) else (value,)
        yield from (each.get_secret_value() for each in several if isinstance(each, SecretStr))
        if name.endswith("_url") and isinstance(value, str) and "@" in value:
            # With its marks: a password alone may be a word that logs need.
            yield f":{value.rpartition('@')[0].rpartition(':')[2]}@"


def _known() -> dict[str, str]:
    """Return what is set by `.env` and, above it, by the environment."""
    try:
        written = dotenv_values(".env", encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UnreadableFile(f".env cannot be read: {reason}") from None
    return {name.upper(): value for name, value in (*written.items(), *os.environ.items()) if value}


def _from_file(name: str, known: Mapping[str, str]) -> str | None:
    path = known.get(f"{name}_FILE")
    if not path or known.get(name):
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UnreadableFile(f"{name}_FILE names a file that cannot be read: {reason}") from None


def _lines(settings: type[Settings], error: ValidationError) -> Iterator[str]:
    """Yield a line for each wrong variable, however many of its parts are wrong."""
    first = {str(each["loc"][0]) if each["loc"] else each["msg"]: each for each in reversed(error.errors())}
    return iter(sorted(_line(settings, each) for each in first.values()))


def _line(settings: type[Settings], error: ErrorDetails) -> str:
    field = str(error["loc"][0]) if error["loc"] else "settings"
    variable = field.upper()
    if error["type"] == "missing":
        return f"{variable} is not set; expected {_expected(settings, field, error)}"
    # Errors of a whole model carry their own words and name their variables.
    if not error["loc"]:
        return error["msg"].removeprefix("Value error, ")
    found = error["input"] if len(error["loc"]) == 1 else _known().get(variable, "")
    is_secret = any(word in field for word in settings.secret_words)
    shown = f"is {found!r}" if isinstance(found, str) and not is_secret else "has a senseless value"
    return f"{variable} {shown}; {_expected(settings, field, error)}"


def _expected(settings: type[Settings], field: str, error: ErrorDetails) -> str:
    description = settings.model_fields[field].description if field in settings.model_fields else None
    if error["type"] == "missing":
        return description or "a value"
    words = error["msg"].removeprefix("Value error, ")
    if words.startswith("expected"):
        return words
    # What comes after a comma is how pydantic came to think so.
    words = words.removeprefix("Input should be ").partition(", unable")[0]
    if words.startswith(("greater", "less")):
        words = f"a number {words}"
    return f"expected {description or words}"


__all__ = [
    "SecretStr",
    "Settings",
    "UnreadableFile",
    "check_listen",
    "check_seconds",
    "check_url",
    "host_and_port",
    "integers",
    "load",
    "secrets_of",
]
