"""The trial of templates finds what Telegram would refuse, and the command says so."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from carillon.__main__ import app
from shared.templates import BadTemplate, Templates, trying

SHIPPED = Path(__file__).parents[2] / "services" / "senders" / "templates"


def _write(folder: Path, text: str) -> None:
    (folder / "greeting").mkdir()
    (folder / "greeting" / "template.toml").write_text('[required]\ntelegram = ["name"]\n')
    (folder / "greeting" / "telegram.md").write_text(text)


def test_what_ships_bears_awkward_values() -> None:
    """Every shipped template passes, on every channel and in every language."""
    templates = Templates.load(SHIPPED, {"dashboard_url": "https://app.example.com"})
    assert [problem for name in templates.names() for problem in trying.problems(templates, name)] == []


@pytest.mark.parametrize("text", ["Hello {{ name }}.", "[Hello](http://{{ name }})", "{{ name }}"])
def test_a_template_that_telegram_refuses_is_found(tmp_path: Path, text: str) -> None:
    """A bare dot, a link that is dropped and an empty text fail the check, and a service's start."""
    _write(tmp_path, text)
    result = CliRunner().invoke(app, ["template", "check", "--folder", str(tmp_path)])
    assert result.exit_code == 1
    assert "greeting, telegram, default: with " in result.output
    with pytest.raises(BadTemplate, match="greeting, telegram, default: with "):
        trying.load(tmp_path, {})


def test_a_template_in_order_passes(tmp_path: Path) -> None:
    """The check exits with 0 and names what it has read."""
    _write(tmp_path, "Hello {{ name }}\\.")
    result = CliRunner().invoke(app, ["template", "check", "--folder", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, "1 in order: greeting\n")


def test_render_names_every_missing_variable_and_prints_what_is_sent() -> None:
    """A template can be tried without a stack."""
    missing = CliRunner().invoke(app, ["template", "render", "position_failure_sl", "push"])
    assert missing.exit_code == 2
    assert "instrument, side, broker_ticket" in missing.output
    given = ["--set", "instrument=EUR/USD", "--set", "side=buy", "--set", "broker_ticket=a=b"]
    sent = CliRunner().invoke(
        app, ["template", "render", "position_failure_sl", "push", *given, "--language", "es"]
    )
    assert sent.exit_code == 0
    assert "Ciérrala a mano ahora. Ticket a=b." in sent.output


def test_list_names_languages_and_variables() -> None:
    """Every template stands there with its channels."""
    listed = CliRunner().invoke(app, ["template", "list", "--json"])
    assert listed.output.count('"position_failure_') == 9
    assert listed.output.count('"default, es"') == 9
