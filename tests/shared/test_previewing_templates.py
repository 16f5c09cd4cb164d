"""`carillon template preview`: what people would see, as files to look at."""

import json
from pathlib import Path
from xml.etree import ElementTree

from typer.testing import CliRunner

from carillon.picture import draw
from carillon.template import app
from shared import markdown

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """Return the lines of a picture."""
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - ours


def test_every_template_is_written_in_every_language(tmp_path: Path) -> None:
    """A folder per template and language holds both parts of the e-mail, the push, and Telegram's picture."""
    done = CliRunner().invoke(app, ["preview", str(tmp_path), "--set", "loss_amount=67"])
    assert done.exit_code == 0, done.output
    for name in ("position_failure_entry", "position_failure_sl", "position_failure_tp"):
        for language in ("default", "es"):
            place = tmp_path / name / language
            assert {each.name for each in place.iterdir()} == {
                "email.html", "email.txt", "push.json", "telegram.svg",
            }  # fmt: skip
            assert (place / "email.html").read_text().lstrip().startswith("<!DOCTYPE html>")
            assert (place / "email.txt").read_text().startswith("Subject: ")
            assert json.loads((place / "push.json").read_text())["icon"] == "/icon-192x192.png"
            assert any("🔴 SELL" in line for line in texts((place / "telegram.svg").read_text()))
    lost = texts((tmp_path / "position_failure_sl" / "default" / "telegram.svg").read_text())
    assert "Loss: -67.00 USD" in lost or "Loss: -67 USD" in lost


def test_an_unknown_template_is_named(tmp_path: Path) -> None:
    """A mistyped name ends with one line and writes nothing."""
    done = CliRunner().invoke(app, ["preview", str(tmp_path / "out"), "nobody"])
    assert done.exit_code != 0
    assert not (tmp_path / "out").exists()


def test_a_picture_shows_what_telegram_makes_of_a_text() -> None:
    """Marks become looks, lines fit the bubble, markup in a text stays text, and buttons hang below."""
    found = markdown.check("*Bold* _slanted_ `a<b` [here](https://example.org/) \\*plain\\*\n" + "word " * 40)
    svg = draw(found, [["Get it 🚀", "Later"]])
    lines = texts(svg)
    assert lines[0] == "Bold slanted a<b here *plain*"
    assert lines[-2:] == ["Get it 🚀", "Later"]
    assert len(lines) > 5
    assert max(len(line) for line in lines) < 60
    styles = {each.text: each.get("style", "") for each in ElementTree.fromstring(svg).iter(f"{SVG}tspan")}  # noqa: S314 - ours
    assert "font-weight:700" in styles["Bold"]
    assert "font-style:italic" in styles["slanted"]
    assert "168acd" in styles["here"]
    assert "font-family" in styles["a<b"]
