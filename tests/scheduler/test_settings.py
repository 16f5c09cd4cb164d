"""Settings of scheduler that make no sense stop it with a line that says which."""

from pathlib import Path

import pytest

from services.scheduler.settings import SchedulerSettings
from shared.settings import load


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start from an environment that is right, away from any `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULER_DATABASE_URL", "postgresql://role:word@127.0.0.1/scheduler")


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word promos come every four hours, live for one, and go nowhere."""
    settings = load(SchedulerSettings)
    assert (settings.promo_interval_hours, settings.promo_validity_seconds) == (4, 3600)
    assert (settings.promo_chat_ids, settings.promo_bot) == ((), "default")


def test_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decimals of hours are allowed, chat ids have 64 bits, and a chat named twice is one."""
    monkeypatch.setenv("PROMO_INTERVAL_HOURS", "0.5")
    monkeypatch.setenv("PROMO_CHAT_IDS", "[-1001234567890123, 42, 42]")
    settings = load(SchedulerSettings)
    assert (settings.promo_interval_hours, settings.promo_chat_ids) == (0.5, (-1001234567890123, 42))


def test_empty_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty value and an empty array both mean nobody."""
    for value in ("", "[]"):
        monkeypatch.setenv("PROMO_CHAT_IDS", value)
        assert load(SchedulerSettings).promo_chat_ids == ()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        *(("PROMO_INTERVAL_HOURS", value, "number of hours above 0")
          for value in ("0", "-1", "four", "nan", "inf", "", "1e300", "1e-9")),
        *(("PROMO_CHAT_IDS", value, "JSON array of integers")
          for value in ("42", "[42", '{"a": 1}', '["@channel"]', "[1.5]", "[true]", "null", "1,2")),
        *(("PROMO_CHAT_IDS", value, "64 bits") for value in ("[0]", "[9223372036854775808]")),
        *(("PROMO_VALIDITY_SECONDS", value, "number of seconds above 0") for value in ("0", "x")),
    ],
)  # fmt: skip
def test_nonsense(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variable: str, value: str, expected: str,
) -> None:  # fmt: skip
    """The process ends with code 2 and one line: the variable, what was found, what is expected."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as stopped:
        load(SchedulerSettings)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"carillon: {variable} is {value!r}; ")
    assert expected in line
