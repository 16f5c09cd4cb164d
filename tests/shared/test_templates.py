"""Templates are files; no value gets out unescaped, and no wrong file gets in."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import Channel
from shared.markdown import parse
from shared.templates import BadTemplate, InvalidVariable, MissingVariables, Templates, UnknownTemplate

PUSH = {
    "title": "{{ who }}",
    "body": "b",
    "icon": "/i",
    "badge": "/b",
    "urgency": "high",
    "data": {"url": "/{{ who | segment }}"},
}
FILES = {
    "note/template.toml": """
        [required]
        telegram = ["who", "amount"]
        email = ["who"]
        push = ["who"]
        [kinds]
        amount = "loss"
        side = "side"
        [defaults]
        currency = "USD"
    """,
    "note/telegram.md": (
        "*{{ who }}* `{{ who }}` [x]({{ site }}/{{ who | segment }}) {{ amount }} {{ currency }}"
    ),
    "note/email.subject.txt": "For {{ who }}",
    "note/email.html": '<p title="{{ who }}">{{ who }}</p>',
    "note/email.txt": "Dear {{ who }}",
    "note/push.json": json.dumps(PUSH),
    "note/es/telegram.md": "Hola *{{ who }}*",
}
GIVEN = {"who": "Ann", "amount": 5}

Loader = Callable[..., Templates]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    """Write a folder of templates, with changes to `FILES`, and load it."""

    def write_and_load(**changes: str | None) -> Templates:
        folder = tmp_path_factory.mktemp("templates")
        for name, text in {
            **FILES,
            **{key.replace("__", "/"): text for key, text in changes.items()},
        }.items():
            if text is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text)
        return Templates.load(folder, {"site": "https://example.com"})

    return write_and_load


@pytest.fixture(scope="module")
def templates(load: Loader) -> Templates:
    """The folder as it is."""
    return load()


def test_a_folder_says_what_it_holds(templates: Templates) -> None:
    """Names and required variables by channel come from the files alone."""
    assert templates.names() == ("note",)
    assert templates.describe("note") == {
        Channel.TELEGRAM: ("who", "amount"),
        Channel.EMAIL: ("who",),
        Channel.PUSH: ("who",),
    }


@given(who=st.text(max_size=60))
def test_no_value_changes_what_a_telegram_text_is(templates: Templates, who: str) -> None:
    """In bold, in code, in a link's target: a value is text, once escaped and never twice."""
    text = templates.render("note", "telegram", {"who": who, "amount": 5}).text
    parsed = parse(text)
    shown = who.replace("\x00", "\ufffd")
    assert parsed.text == f"{shown} {shown} x -5.00 USD"
    assert [entity.type for entity in parsed.entities if entity.url] == ["text_link"]


@given(who=st.text(max_size=60))
def test_no_value_breaks_a_push(templates: Templates, who: str) -> None:
    """A push's fields hold the value as it is; in its address it is one segment of the path."""
    push = templates.render("note", "push", {"who": who})
    assert push.title == who.replace("\x00", "\ufffd")
    assert push.data["url"].count("/") == 1
    assert push.data["url"].isascii()


def test_html_is_escaped_and_subject_and_text_are_not(templates: Templates) -> None:
    """What is HTML in an e-mail cannot be written by a value; what is not HTML shows no entities."""
    email = templates.render("note", "email", {"who": "\"><script>&'"})
    assert email.html == '<p title="&#34;&gt;&lt;script&gt;&amp;&#39;">&#34;&gt;&lt;script&gt;&amp;&#39;</p>'
    assert email.subject == "For \"><script>&'"
    assert email.text == "Dear \"><script>&'\n"


def test_a_subject_is_one_line(templates: Templates) -> None:
    """A value cannot add a header to an e-mail."""
    email = templates.render("note", "email", {"who": "Ann\r\nBcc: all\x0b\u2028x"})
    assert email.subject == "For Ann Bcc: all x"


def test_all_missing_variables_are_named_in_order(templates: Templates) -> None:
    """None is missing too; what is not required for the channel is not asked for."""
    with pytest.raises(MissingVariables) as missing:
        templates.render("note", "telegram", {"who": None, "more": 1})
    assert missing.value.names == ("who", "amount")
    templates.render("note", "email", {"who": "Ann"})


def test_more_variables_than_required_are_no_error(templates: Templates) -> None:
    """Whatever they are; only those that the template declares are read."""
    templates.render("note", "telegram", {**GIVEN, "self": [], "range": {}, "site": "https://evil.example"})


def test_a_constant_cannot_be_overridden(templates: Templates) -> None:
    """Where links lead is decided by settings, not by whoever sends a message."""
    rendered = templates.render("note", "telegram", {**GIVEN, "site": "https://evil.example"})
    assert parse(rendered.text).entities[-1].url == "https://example.com/Ann"


def test_a_default_can_be_overridden(templates: Templates) -> None:
    """Currency is USD unless given."""
    assert "5\\.00 EUR" in templates.render("note", "telegram", {**GIVEN, "currency": "EUR"}).text


def test_an_unknown_template_names_those_there_are(templates: Templates) -> None:
    """Whoever mistypes a name sees the right one."""
    with pytest.raises(UnknownTemplate, match="there are: note") as unknown:
        templates.render("nope", "push", {})
    assert unknown.value.known == ("note",)
    with pytest.raises(UnknownTemplate):
        templates.describe("nope")


def test_a_template_without_that_channel_is_unknown_there(load: Loader) -> None:
    """A promo has no e-mail; asking for one names the templates that have."""
    templates = load(only__template_toml=None, **{"only__template.toml": "[required]\npush = []"},
                     **{"only__push.json": json.dumps(PUSH | {"title": "t", "data": {}})})  # fmt: skip
    with pytest.raises(UnknownTemplate) as unknown:
        templates.render("only", "email", {})
    assert unknown.value.known == ("note",)


@pytest.mark.parametrize(
    ("language", "start"),
    [("es", "Hola"), ("es-MX", "Hola"), ("ES_mx", "Hola"), ("de", "*Ann"), (None, "*Ann"), ("", "*Ann")],
)
def test_a_language_falls_back_to_its_root_and_to_the_default(
    templates: Templates, language: str | None, start: str
) -> None:
    """Nobody goes without a message because of their language."""
    assert templates.render("note", "telegram", GIVEN, language).text.startswith(start)


def test_a_channel_falls_back_as_a_whole(templates: Templates) -> None:
    """An e-mail is not half Spanish."""
    assert templates.render("note", "email", GIVEN, "es").text == "Dear Ann\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("1.10"), "1.10"),
        (Decimal("1E+3"), "1000"),
        (1e-7, "0.0000001"),
        (0.1, "0.1"),
        (12, "12"),
        (10**50, "1E+50"),
        (float("nan"), "NaN"),
        (True, "yes"),
        ("x\x00\ud800", "x\ufffd\ufffd"),
        (datetime(2026, 3, 1, 9, 5, 59, tzinfo=UTC), "2026-03-01 09:05 UTC"),
        (datetime(2026, 3, 1, 9, 5, tzinfo=timezone(timedelta(hours=2))), "2026-03-01 07:05 UTC"),
        (datetime(2026, 3, 1, 9, 5), "2026-03-01 09:05"),  # noqa: DTZ001 - a naive value may come in
        (date(2026, 3, 1), "2026-03-01"),
    ],
)
def test_any_value_is_written_for_people(templates: Templates, value: object, written: str) -> None:
    """Numbers have no exponent or binary noise, times say their zone."""
    assert templates.render("note", "push", {"who": value}).title == written


@pytest.mark.parametrize("value", [[], {}, b"x", object()])
def test_what_is_no_value_is_refused(templates: Templates, value: object) -> None:
    """A list in a sentence is a mistake of whoever sends it."""
    with pytest.raises(InvalidVariable, match="who is expected to be text, a number or a date"):
        templates.render("note", "push", {"who": value})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (50, "-50.00"),
        (-50, "-50.00"),
        ("-50", "-50.00"),
        ("−50", "-50.00"),  # noqa: RUF001 - a typographic minus is what people paste
        ("+1,234.5", "-1234.50"),
        (Decimal("-0.00012"), "-0.00012"),
        (49.999, "-49.999"),
        (0, "0.00"),
        ("-0", "0.00"),
    ],
)
def test_a_loss_is_negative_once(templates: Templates, value: object, written: str) -> None:
    """Whichever sign it comes with, and zero has none."""
    text = parse(templates.render("note", "telegram", {"who": "", "amount": value}).text).text
    assert text == f"  x {written} USD"


@pytest.mark.parametrize(
    "value", ["much", "", "--5", "1,5", "\u0665", "5 USD", float("inf"), Decimal("NaN"), True, 10**40]
)
def test_an_amount_is_a_number(templates: Templates, value: object) -> None:
    """What cannot be read as an amount is refused, not shown."""
    with pytest.raises(InvalidVariable, match="amount is expected to be an amount"):
        templates.render("note", "telegram", {"who": "", "amount": value})


def test_a_number_too_long_to_spell_harms_nobody(templates: Templates) -> None:
    """Python refuses to spell integers of thousands of digits; rendering does not stumble over that."""
    assert templates.render("note", "push", {"who": 10**5000}).title == "1E+5000"
    with pytest.raises(InvalidVariable, match="found int"):
        templates.render("note", "telegram", {"who": "", "amount": 10**5000})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"note__telegram.md": "{{ whom }}"}, r"telegram.md: uses what template.toml does not declare: whom"),
        ({"note__telegram.md": "{{ who }"}, r"telegram.md: unexpected '}'"),
        ({"note__telegram.md": "{{ who | safe }}"}, r"telegram.md: No filter named 'safe'"),
        ({"note__email.html": "{{ who | safe }}"}, r"email.html: No filter named 'safe'"),
        (
            {"note__telegram.md": "{% set x %}{{ who }}{% endset %}{{ x }}"},
            r"telegram.md: rendered text cannot",
        ),
        (
            {"note__telegram.md": "{% macro x() %}a.{% endmacro %}{{ x() }}"},
            r"telegram.md: rendered text cannot",
        ),
        ({"note__email.txt": None}, r"note: no email.txt"),
        ({"note__es__email.txt": "Hola"}, r"es: no email.subject.txt, email.html"),
        ({"note__push.json": "{"}, r"push.json: Expecting"),
        ({"note__push.json": json.dumps({**PUSH, "urgency": "now"})}, r"push.json: urgency is one of"),
        ({"note__push.json": json.dumps({**PUSH, "more": ""})}, r"push.json: a push template has exactly"),
        ({"note__push.json": json.dumps({**PUSH, "title": 1})}, r"push.json: every value of a push"),
        ({"note__template.toml": "x"}, r"template.toml: "),
        ({"note__template.toml": "[more]"}, r"template.toml: unknown table more"),
        ({"note__template.toml": ""}, r"template.toml: no table \[required\]"),
        ({"note__template.toml": "[required]\nfax = []"}, r"template.toml: 'fax' is not a valid Channel"),
        (
            {"note__template.toml": "[required]\npush = []\n[kinds]\na = 'b'"},
            r"template.toml: unknown kind b",
        ),
    ],
)
def test_wrong_files_are_refused_when_they_are_loaded(
    load: Loader, changes: dict[str, str | None], complaint: str
) -> None:
    """A process with a broken template does not start, and says which file is broken and why."""
    with pytest.raises(BadTemplate, match=complaint):
        load(**changes)
