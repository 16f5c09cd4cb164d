"""The four promos that ship read well, claim nothing, and are what Telegram accepts."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import Channel
from shared.markdown import check, parse
from shared.templates import Templates

NAMES = ("analytics", "copy_trading", "premium_signals", "vip_support")


@pytest.fixture(scope="module")
def templates() -> Templates:
    """What scheduler ships."""
    return Templates.load(Path(__file__).parents[2] / "services" / "scheduler" / "templates")


def test_the_four_are_there_for_telegram_alone(templates: Templates) -> None:
    """A promo is posted to chats; its title comes from the catalogue."""
    assert templates.names() == NAMES
    assert all(templates.describe(name) == {Channel.TELEGRAM: ("title",)} for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_promo_has_title_intro_heading_four_bullets_and_a_closing_line(
    templates: Templates, name: str
) -> None:
    """The form is the same for all; title and heading are really bold."""
    shown = check(templates.render(name, "telegram", {"title": "🚀 Title"}).text)
    title, intro, body, closing = shown.text.split("\n\n")
    heading, *bullets = body.split("\n")
    assert title == "🚀 Title"
    assert len(bullets) == 4
    assert all(re.fullmatch(r"• \S.{10,}", bullet) for bullet in bullets)
    assert min(len(intro), len(closing)) > 40
    units = shown.text.encode("utf-16-le")
    bold = [
        units[each.offset * 2 : each.end * 2].decode("utf-16-le")
        for each in shown.entities
        if each.type == "bold"
    ]
    assert bold == [title, heading]


@pytest.mark.parametrize("name", NAMES)
def test_a_promo_claims_no_performance(templates: Templates, name: str) -> None:
    """No rates, no returns, no guarantees: nothing that would have to be proved."""
    text = parse(templates.render(name, "telegram", {"title": ""}).text).text
    assert not re.search(r"\d|%|guarant|proven|\bwin|profit|return", text, re.IGNORECASE)


@pytest.mark.parametrize("name", NAMES)
@given(title=st.text(min_size=1, max_size=60))
def test_any_title_is_shown_as_it_is(templates: Templates, name: str, title: str) -> None:
    """A title is edited by people; whatever they write, Telegram accepts the promo."""
    text = templates.render(name, "telegram", {"title": title}).text
    assert parse(text).text.startswith(title.replace("\x00", "\ufffd") + "\n\n")
