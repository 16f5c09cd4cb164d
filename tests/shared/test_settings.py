"""Settings: what is right is read, what is wrong is named in one line, and a secret is never shown."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from shared.settings import Settings, check_url, host_and_port, integers, load, secrets_of


class Shop(Settings):
    """Settings as a service declares them."""

    shop_database_url: Annotated[str, AfterValidator(lambda url: check_url(url, "postgresql"))] = Field(
        description="a URL postgresql://role:password@host:port/database"
    )
    api_token: Annotated[SecretStr, Field(min_length=8)] | None = None
    chat_ids: Annotated[tuple[int, ...], NoDecode] = ()
    port: int = Field(default=25, ge=1, le=65_535)

    @field_validator("chat_ids", mode="before")
    @classmethod
    def _read_chats(cls, value: object) -> object:
        return integers(value)


DATABASE_URL = "postgresql://shop:hunter22@127.0.0.1:5432/shop"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder and an environment with nothing but the one setting that has no default."""
    for name in Shop.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.setenv("SHOP_DATABASE_URL", DATABASE_URL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaints(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Load settings that are wrong and return the lines that say so."""
    with pytest.raises(SystemExit) as ended:
        load(Shop)
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    return printed.err.splitlines()


def test_defaults_are_enough_but_for_the_database() -> None:
    """A service needs no setting that has a sensible default."""
    settings = load(Shop)

    assert settings.shop_database_url == DATABASE_URL
    assert settings.retry_seconds == (1, 2, 4, 8, 16)


def test_values_come_from_the_environment_then_from_the_env_file(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment overrides `.env`; variables of other programs are ignored."""
    (environment / ".env").write_text("PORT=1025\nCHAT_IDS=[-1001234567890, 42]\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("PORT", "2525")
    monkeypatch.setenv("RETRY_SECONDS", "0.1, 0.2")

    settings = load(Shop)

    assert settings.port == 2525
    assert settings.chat_ids == (-1001234567890, 42)
    assert settings.retry_seconds == (0.1, 0.2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "abc", "a valid integer"),
        ("PORT", "0", "a number greater than or equal to 1"),
        ("LISTEN", "80", "host:port, such as 127.0.0.1:8080"),
        ("LISTEN", "127.0.0.1:99999", "host:port, such as 127.0.0.1:8080"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("CHAT_IDS", "[1", "a JSON array of integers, such as [-1001234567890, 42]"),
        ("CHAT_IDS", "7", "a JSON array of integers, such as [-1001234567890, 42]"),
        ("CHAT_IDS", "[true]", "a JSON array of integers, such as [-1001234567890, 42]"),
        ("RETRY_SECONDS", "1,x", "numbers of seconds above 0, such as 1,2,4"),
        ("RETRY_SECONDS", "x,y", "numbers of seconds above 0, such as 1,2,4"),
        ("RETRY_SECONDS", "", "numbers of seconds above 0, such as 1,2,4"),
        ("RETRY_SECONDS", "-1", "numbers of seconds above 0"),
        ("RETRY_SECONDS", "nan", "numbers of seconds above 0"),
        ("ACK_WAIT_SECONDS", "inf", "numbers of seconds above 0"),
        ("ACK_WAIT_SECONDS", "0", "numbers of seconds above 0"),
    ],
)
def test_a_senseless_value_is_named_with_what_is_expected(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line: the variable as it is written, what was found, what is expected; never a traceback."""
    monkeypatch.setenv(name, value)

    assert complaints(capsys) == [f"carillon: {name} is {value!r}; expected {expected}"]


def test_every_wrong_variable_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has to repair one value to hear of the next."""
    monkeypatch.delenv("SHOP_DATABASE_URL")
    monkeypatch.setenv("PORT", "abc")

    assert complaints(capsys) == [
        "carillon: PORT is 'abc'; expected a valid integer",
        "carillon: SHOP_DATABASE_URL is not set; expected a URL postgresql://role:password@host:port/database",
    ]


def test_a_value_from_the_env_file_is_shown_too(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was found is said wherever it was found."""
    (environment / ".env").write_text("PORT=abc\n")

    assert complaints(capsys) == ["carillon: PORT is 'abc'; expected a valid integer"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_TOKEN", "s3cr3t"),
        ("SHOP_DATABASE_URL", "mysql://shop:s3cr3t@host/shop"),
        ("NATS_URL", "http://shop:s3cr3t@host"),
    ],
)
def test_a_secret_is_never_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong secret, or a URL with a password in it, is named but not repeated."""
    monkeypatch.setenv(name, value)

    (line,) = complaints(capsys)

    assert line.startswith(f"carillon: {name} ")
    assert "; expected " in line
    assert "s3cr3t" not in line


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_secret_can_come_from_a_file(
    where: str, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NAME_FILE names a file that holds the value; the line break at its end is not part of it."""
    (environment / "token").write_text("from-a-file\n")
    (environment / "database").write_text(f"{DATABASE_URL}2\n")
    monkeypatch.delenv("SHOP_DATABASE_URL")
    if where == ".env":
        (environment / ".env").write_text("API_TOKEN_FILE=token\nSHOP_DATABASE_URL_FILE=database\n")
    else:
        monkeypatch.setenv("API_TOKEN_FILE", str(environment / "token"))
        monkeypatch.setenv("SHOP_DATABASE_URL_FILE", str(environment / "database"))

    settings = load(Shop)

    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "from-a-file"
    assert settings.shop_database_url == f"{DATABASE_URL}2"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), (b"\xff\xfe", "not UTF-8 text")]
)
def test_an_unreadable_file_is_named(
    content: bytes | None,
    reason: str,
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file that is not there, or is no text, is one line too."""
    if content is not None:
        (environment / "token").write_bytes(content)
    monkeypatch.setenv("API_TOKEN_FILE", str(environment / "token"))

    assert complaints(capsys) == [f"carillon: API_TOKEN_FILE names a file that cannot be read: {reason}"]


def test_an_unreadable_env_file_is_named(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even `.env` in a wrong encoding makes a traceback."""
    (environment / ".env").write_bytes(b"PORT=\xff\n")

    assert complaints(capsys) == ["carillon: .env cannot be read: not UTF-8 text"]


def test_secrets_are_found_within_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hides secrets from logs learns all of them, also the ones within URLs."""
    monkeypatch.setenv("API_TOKEN", "a-long-token")

    assert set(secrets_of(load(Shop))) == {"a-long-token", ":hunter22@"}


def test_settings_do_not_show_secrets_when_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings object in a log line gives no token away."""
    monkeypatch.setenv("API_TOKEN", "a-long-token")

    assert "a-long-token" not in repr(load(Shop))


@pytest.mark.parametrize(
    ("listen", "parts"), [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:80", ("::1", 80))]
)
def test_an_address_has_a_host_and_a_port(listen: str, parts: tuple[str, int]) -> None:
    """Addresses are split at the last colon; IPv6 hosts lose their brackets."""
    assert host_and_port(listen) == parts
