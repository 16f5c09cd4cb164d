"""Settings of gateway that make no sense stop it with a line that says which."""

from pathlib import Path

import pytest

from services.gateway.settings import GatewaySettings
from shared.settings import load

TOKEN = "123456:ABC-def_1234567890"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start from an environment that is right, away from any `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://role:word@127.0.0.1/gateway")
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("TELEGRAM_WEBHOOK_SECRET", "s3cret")


def test_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are of either family, IPv4 in IPv6 is IPv4; owners are a JSON array, nobody is repeated."""
    given = "149.154.160.0/20, 2001:db8::/32,127.0.0.1,::ffff:91.108.4.0/118,::/0"
    monkeypatch.setenv("TELEGRAM_IP_ALLOWLIST", given)
    monkeypatch.setenv("OWNER_TELEGRAM_IDS", "[7, 8, 7]")
    settings = load(GatewaySettings)
    assert [str(each) for each in settings.telegram_ip_allowlist] == [
        "149.154.160.0/20", "2001:db8::/32", "127.0.0.1/32", "91.108.4.0/22", "::/0",
    ]  # fmt: skip
    assert (settings.owner_telegram_ids, settings.trusted_proxies) == ((7, 8), ())


def test_without_bots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway without bots is an API."""
    monkeypatch.delenv("TELEGRAM_BOT_TOKEN")
    assert load(GatewaySettings).bots() == {}


def test_polling_needs_no_webhook_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is of the webhook's; where updates are polled there may be none."""
    monkeypatch.delenv("TELEGRAM_WEBHOOK_SECRET")
    monkeypatch.setenv("TELEGRAM_RECEIVE", "polling")
    assert load(GatewaySettings).bots()["default"].webhook_secret is None


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TELEGRAM_WEBHOOK_SECRET", None, "TELEGRAM_WEBHOOK_SECRET is not set; expected what setWebhook"),
        ("TELEGRAM_RECEIVE", "pigeons", "TELEGRAM_RECEIVE is 'pigeons'; expected"),
        ("TELEGRAM_WEBHOOK_SECRET", "no spaces", "TELEGRAM_BOT_TOKEN"),
        ("TELEGRAM_BOT_TOKEN", "nonsense", "TELEGRAM_BOT_TOKEN is not a bot token"),
        (
            "TELEGRAM_IP_ALLOWLIST",
            "149.154.160.1/20",
            "TELEGRAM_IP_ALLOWLIST is '149.154.160.1/20'; expected",
        ),
        ("CORS_ORIGINS", "https://a.b/x", "CORS_ORIGINS is 'https://a.b/x'; expected origins"),
        ("API_PER_SECOND", "-1", "API_PER_SECOND is '-1'; expected a number of calls"),
        ("TRUSTED_PROXIES", "proxy", "TRUSTED_PROXIES is 'proxy'; expected networks"),
        ("OWNER_TELEGRAM_IDS", "7", "OWNER_TELEGRAM_IDS is '7'; expected a JSON array"),
        ("OWNER_TELEGRAM_IDS", "[-7]", "OWNER_TELEGRAM_IDS is '[-7]'; expected Telegram ids of people"),
        ("STREAM_DAYS", "soon", "STREAM_DAYS is 'soon'; expected a number of days, 0 to keep all events"),
        ("UPDATE_TEXT_DAYS", "-1", "UPDATE_TEXT_DAYS is '-1'; expected"),
        ("TELEGRAM_API_URL", "ftp://x", "TELEGRAM_API_URL is 'ftp://x'; expected a URL"),
        ("GATEWAY_DATABASE_URL", None, "GATEWAY_DATABASE_URL is not set; expected a URL postgresql://"),
        ("LISTEN", "8080", "LISTEN is '8080'; expected host:port"),
    ],
)
def test_senseless_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variable: str, value: str | None, expected: str,
) -> None:  # fmt: skip
    """One line names the variable, what was found and what is expected; no secret, no traceback."""
    monkeypatch.delenv(variable) if value is None else monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        load(GatewaySettings)
    line = capsys.readouterr().err
    assert ended.value.code == 2
    assert line.count("\n") == 1
    assert expected in line
    assert TOKEN not in line
    assert "s3cret" not in line


def test_several_bots_need_a_secret_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bot whose webhook secret is missing is named."""
    monkeypatch.delenv("TELEGRAM_BOT_TOKEN")
    monkeypatch.setenv(
        "TELEGRAM_BOTS", f'{{"a": {{"token": "{TOKEN}", "webhook_secret": "x"}}, "b": "5:abc"}}'
    )
    with pytest.raises(SystemExit):
        load(GatewaySettings)
    assert "TELEGRAM_BOTS: bot 'b' has no webhook_secret" in capsys.readouterr().err
