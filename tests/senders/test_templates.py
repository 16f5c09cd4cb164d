"""The three position failures say what is true, on every channel, whatever their values hold."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import Channel
from shared.markdown import check, parse
from shared.templates import InvalidVariable, MissingVariables, Templates

FOLDER = Path(__file__).parents[2] / "services" / "senders" / "templates"
NAMES = ("position_failure_entry", "position_failure_sl", "position_failure_tp")
AMOUNTS = {"position_failure_sl": "loss_amount", "position_failure_tp": "profit_amount"}
GIVEN = {
    "instrument": "EUR/USD",
    "side": "buy",
    "entry_price": 1.085,
    "current_price": "1.0790",
    "volume": 0.5,
    "error_reason": "no margin",
    "approval_id": "apr-1029",
    "loss_amount": 50,
    "profit_amount": 75,
    "broker_ticket": 881201,
}
LANGUAGES = (None, "en", "es", "es-MX", "pt")
"""A default, the default by its name, a variant, a variant's region, and one that nobody has written."""
FREE = tuple(GIVEN.keys() - {"side", "loss_amount", "profit_amount"})
HOSTILE = [
    "_*[]()~`>#+-=|{}.!\\",
    "a\\",
    "```",
    "||x||\n>y",
    "](https://evil.example)",
    "{{ side }}{% raw %}",
    '<b onmouseover="x">&amp;\'</b></style><script>alert(1)</script>',
    '"}, "data": {"url": "https://evil.example"',
    "../../admin?x=1#y",
    "א\u202eע 👨\u200d👩\u200d👧 e\u0301",
    "a\r\nBcc: x@example.com\x00\ud800",
    "",
]


@pytest.fixture(scope="module")
def templates() -> Templates:
    """What senders ships."""
    return Templates.load(FOLDER, {"dashboard_url": "https://app.example.com"})


class _Reader(HTMLParser):
    """What a person sees of an HTML page, and which elements and links it has."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.seen, self.tags, self.links = "", [], []
        self._hidden = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key == "href"]
        self._hidden += tag in {"style", "title", "script"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"style", "title", "script"}

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen += data


def test_the_table_of_required_variables_holds(templates: Templates) -> None:
    """The names and their variables are a contract with whoever publishes."""
    shared = ("instrument", "side", "entry_price")
    last = {
        "position_failure_entry": (("volume", "error_reason", "approval_id"), "approval_id"),
        "position_failure_sl": (("current_price", "loss_amount", "broker_ticket"), "broker_ticket"),
        "position_failure_tp": (("current_price", "profit_amount", "broker_ticket"), "broker_ticket"),
    }
    assert templates.names() == NAMES
    for name, (rest, key) in last.items():
        assert templates.describe(name) == {
            Channel.EMAIL: shared + rest,
            Channel.TELEGRAM: shared + rest,
            Channel.PUSH: ("instrument", "side", key),
        }


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("name", NAMES)
def test_every_missing_variable_is_named_on_every_channel(
    templates: Templates, name: str, channel: Channel
) -> None:
    """Channels refuse alike."""
    with pytest.raises(MissingVariables) as missing:
        templates.render(name, channel, {})
    assert missing.value.names == templates.describe(name)[channel]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("name", NAMES)
@given(values=st.fixed_dictionaries({key: st.sampled_from(HOSTILE) | st.text(max_size=20) for key in FREE}))
def test_telegram_accepts_every_text_and_shows_every_value(
    templates: Templates, name: str, language: str, values: dict[str, str]
) -> None:
    """Parsed by Telegram's own parser, each value stands there as it is, and the link is still a link."""
    given = {**GIVEN, **values}
    text = templates.render(name, "telegram", given, language).text
    shown = parse(text)
    for variable in templates.describe(name)[Channel.TELEGRAM]:
        if variable in FREE:
            assert re.sub("[\x00\ud800-\udfff]", "\ufffd", values[variable]) in shown.text
    links = [entity.url for entity in check(text).entities if entity.type == "text_link"]
    assert len(links) == 1
    assert links[0] is not None
    assert links[0].startswith("https://app.example.com/dashboard/")


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("name", NAMES)
@given(values=st.fixed_dictionaries({key: st.sampled_from(HOSTILE) | st.text(max_size=20) for key in FREE}))
def test_no_value_changes_an_emails_html(
    templates: Templates, name: str, language: str, values: dict[str, str]
) -> None:
    """Whatever the values hold, the page keeps its elements, and its link leads to the dashboard."""
    usual = _Reader(templates.render(name, "email", GIVEN, language).html)
    hostile = _Reader(templates.render(name, "email", {**GIVEN, **values}, language).html)
    assert hostile.tags == usual.tags
    assert len(hostile.links) == 1
    assert all(str(link).startswith("https://app.example.com/dashboard/") for link in hostile.links)
    assert "script" not in hostile.tags


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("name", NAMES)
@given(values=st.fixed_dictionaries({key: st.sampled_from(HOSTILE) | st.text(max_size=20) for key in FREE}))
def test_no_value_changes_where_a_push_leads(
    templates: Templates, name: str, language: str, values: dict[str, str]
) -> None:
    """An address from a value is one segment of the path, never another site or page."""
    push = templates.render(name, "push", {**GIVEN, **values}, language)
    expected = r"/dashboard/approvals/[A-Za-z0-9_.~%-]*" if name.endswith("entry") else "/dashboard/positions"
    assert re.fullmatch(expected, push.data["url"])
    assert (push.icon, push.badge) == ("/icon-192x192.png", "/badge-96x96.png")


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("name", NAMES)
def test_an_email_shows_every_value_in_both_parts(templates: Templates, name: str, language: str) -> None:
    """The text is written, with the same facts as the HTML."""
    email = templates.render(name, "email", GIVEN, language)
    seen = _Reader(email.html).seen
    for variable in templates.describe(name)[Channel.EMAIL]:
        value = {"side": "🟢 BUY", "loss_amount": "-50.00 USD", "profit_amount": "75.00 USD"}.get(
            variable, str(GIVEN[variable])
        )
        assert value in seen
        assert value in email.text


@pytest.mark.parametrize("name", NAMES)
def test_a_subject_is_not_html(templates: Templates, name: str) -> None:
    """`R&D` stays `R&D`."""
    email = templates.render(name, "email", {**GIVEN, "instrument": "R&D <'\">"})
    assert "R&D <'\">" in email.subject
    assert html.unescape(email.subject) == email.subject


@pytest.mark.parametrize("name", NAMES)
def test_the_text_part_holds_no_css_and_no_tags(templates: Templates, name: str) -> None:
    """It is written for people, not scraped from the HTML."""
    text = templates.render(name, "email", GIVEN).text
    assert not re.search(r"[{}<>;]|style|font-|padding|@media|&\w+;", text)


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("position_failure_entry", "#f5a623"),
        ("position_failure_sl", "#c81e1e"),
        ("position_failure_tp", "#187a3c"),
    ],
)
def test_the_header_has_its_colour_and_the_page_is_responsive(
    templates: Templates, name: str, colour: str
) -> None:
    """Amber, red and green; dark on light; fit for a telephone."""
    page = templates.render(name, "email", GIVEN).html
    assert f'bgcolor="{colour}"' in page
    assert f"background:{colour};" in page
    assert '<meta name="viewport" content="width=device-width' in page
    assert "@media (max-width" in page
    assert '<meta name="color-scheme" content="light">' in page


@pytest.mark.parametrize(("name", "sign"), list(zip(NAMES, "⚠🚨✅", strict=True)))
def test_each_failure_starts_with_its_sign(templates: Templates, name: str, sign: str) -> None:
    """What it is about is seen before it is read, on every channel and in every language."""
    for language in LANGUAGES:
        assert templates.render(name, "telegram", GIVEN, language).text.startswith(sign)
        assert templates.render(name, "email", GIVEN, language).subject.startswith(sign)
        assert templates.render(name, "push", GIVEN, language).title.startswith(sign)


@pytest.mark.parametrize(("name", "urgency"), list(zip(NAMES, ("high", "high", "normal"), strict=True)))
def test_a_push_has_its_urgency(templates: Templates, name: str, urgency: str) -> None:
    """Entry and stop loss wake the telephone, take profit need not, in every language."""
    assert {templates.render(name, "push", GIVEN, each).urgency for each in LANGUAGES} == {urgency}


@pytest.mark.parametrize("name", NAMES)
def test_a_language_is_found_by_its_root_and_else_is_the_default(templates: Templates, name: str) -> None:
    """Mexico reads Spanish; who speaks what nobody has written reads the default, on every channel."""
    for channel in Channel:
        default, english, spanish, mexican, portuguese = (
            templates.render(name, channel, GIVEN, language) for language in LANGUAGES
        )
        assert default == english == portuguese
        assert spanish == mexican != default
    page = templates.render(name, "email", GIVEN, "es").html
    assert '<html lang="es">' in page
    assert "Recibes este aviso" in page
    assert "Broker" not in page


@pytest.mark.parametrize(
    ("said", "shown", "never"),
    [
        *((word, "🟢 BUY", "SELL") for word in ("buy", "BUY", "Buy", "long", "LONG", " Long ")),
        *((word, "🔴 SELL", "BUY") for word in ("sell", "SELL", "Sell", "short", "SHORT", "Short\n")),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_side_is_never_shown_as_the_other(
    templates: Templates, name: str, said: str, shown: str, never: str
) -> None:
    """Case and synonyms change nothing, on no channel."""
    given = {**GIVEN, "side": said}
    email, push = templates.render(name, "email", given), templates.render(name, "push", given)
    telegram = parse(templates.render(name, "telegram", given).text).text
    for text in (telegram, email.subject, _Reader(email.html).seen, email.text, push.title + push.body):
        assert shown in text
        assert never not in text


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("side", ["hold", "", "buy/sell", 1, "ｂｕｙ"])  # noqa: RUF001 - full-width letters
def test_another_side_is_refused(templates: Templates, channel: Channel, side: object) -> None:
    """A guess could cost money."""
    for name in NAMES:
        with pytest.raises(InvalidVariable) as invalid:
            templates.render(name, channel, {**GIVEN, "side": side})
        assert invalid.value.name == "side"


@pytest.mark.parametrize("loss", [50, -50, "50", "-50", "−50.00", 50.0, "+50"])  # noqa: RUF001 - as pasted
def test_a_loss_has_one_minus(templates: Templates, loss: object) -> None:
    """Given with or without its sign, it is shown once, as a negative amount in its currency."""
    given = {**GIVEN, "loss_amount": loss, "currency": "EUR"}
    email = templates.render("position_failure_sl", "email", given)
    telegram = parse(templates.render("position_failure_sl", "telegram", given).text).text
    for text in (telegram, email.subject, _Reader(email.html).seen, email.text):
        amounts = re.findall(r"\S*50\.00 EUR", text)
        assert amounts == ["-50.00 EUR"]


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_that_telegram_does_not_link_to_costs_no_alert(name: str) -> None:
    """Telegram makes no link of `localhost`; the address is then shown, and the alert goes out."""
    local = Templates.load(FOLDER, {"dashboard_url": "http://localhost:8080"})
    shown = check(local.render(name, "telegram", GIVEN).text)
    assert "http://localhost:8080/dashboard/" in shown.text


def test_a_long_reason_does_not_cost_the_message(templates: Templates) -> None:
    """A broker's error of any length is cut, so that Telegram still takes the alert."""
    given = {**GIVEN, "error_reason": "stack.trace! " * 5_000}
    shown = check(templates.render("position_failure_entry", "telegram", given).text)
    assert "stack.trace! stack" in shown.text
    assert "…" in shown.text


def test_a_reason_full_of_marks_does_not_cost_the_message(templates: Templates) -> None:
    """Telegram keeps a hundred entities; commands and addresses in a broker's error are none of them."""
    given = {**GIVEN, "error_reason": "/a " * 160}
    check(templates.render("position_failure_entry", "telegram", given).text)
