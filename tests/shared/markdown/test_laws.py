"""The laws of MarkdownV2: whatever text goes in, Telegram's parser accepts it and gives the text back."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.events import Button
from shared.markdown import (
    BadLink,
    Formatted,
    Message,
    ParseError,
    Refused,
    check,
    escape,
    escape_code,
    escape_link,
    normalise,
    parse,
)
from shared.markdown.model import EmptyText
from shared.markdown.normalising import normalise_whole

AWKWARD = [
    *"_*[]()~`>#+-=|{}.!\\",
    *"\n\r\t\x00\x01\x0b\x1f\x7f ",
    *("```", "||", "**", "__", "![", "](", "\\\\", "\r\n", "\n>", "&lt;", "<b>"),
    *("😀", "👨\u200d👩\u200d👧", "🇪🇸", "1\ufe0f\u20e3"),
    *(
        "א",
        "ع",
        "\u202e",
        "\u200e",
        "\u200f",
        "\u2066",
        "e\u0301\u030a\u0333",
        "\u00a0",
        "\u200b",
        "\u2800",
        "\ufeff",
    ),
    *(
        "/start",
        "@somebody",
        "#tag",
        "$USD",
        "x.example.com",
        "https://a.b/c_d",
        "a@b.co",
        "4111111111111111",
    ),
]
TEXTS = st.lists(st.sampled_from(AWKWARD) | st.text(max_size=5), max_size=12).map("".join)
LABELS = TEXTS.filter(lambda text: bool(text.strip()))
LINES = st.lists(
    st.tuples(
        st.sampled_from(["title", "text", "bullet", "code", "link", "divider", "blank"]), LABELS | TEXTS
    ),
    max_size=8,
)


def _built(lines: list[tuple[str, str]]) -> Message:
    message = Message()
    for kind, text in lines:
        if kind in {"divider", "blank"}:
            getattr(message, kind)()
        elif kind == "link":
            try:
                message.link(text, f"https://example.com/{len(text)})\\x")
            except BadLink:
                with pytest.raises(EmptyText):
                    normalise(Formatted(text))
        else:
            getattr(message, kind)(text)
    return message


@given(TEXTS)
@example("\\")
@example(">")
def test_escaped_text_is_parsed_as_itself(text: str) -> None:
    """Outside code, any text comes back whole and without a single entity."""
    assert parse(escape(text)) == Formatted(text)


@given(TEXTS, st.sampled_from(["`{}`", "before `{}` after", "```\nx{}```"]))
def test_escaped_code_is_parsed_as_itself(text: str, around: str) -> None:
    """Inside code and pre any text comes back whole."""
    expected = around.replace("```\n", "").replace("`", "").format(text)
    assert parse(around.format(escape_code(text))).text == expected


@given(
    st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"], exclude_characters="#?"), max_size=20)
)
@example("\\")
@example(")")
def test_escaped_link_keeps_text_and_stays_a_link(path: str) -> None:
    """Any path survives as a link's target, parentheses and backslashes too."""
    formatted = parse(f"[x]({escape_link('https://example.com/' + path)})")
    assert formatted.text == "x"
    assert [entity.url for entity in formatted.entities] == ["https://example.com/" + path]


@given(LINES)
def test_a_message_is_parsed_as_its_plain_text(lines: list[tuple[str, str]]) -> None:
    """The builder cannot produce invalid MarkdownV2, whatever is built from whatever text."""
    message = _built(lines)
    assert parse(message.render()).text == message.plain


@given(LINES)
@example([("title", "_"), ("link", "\x00")])
@example([("title", "_"), ("link", "\u200b")])
def test_a_built_message_is_refused_only_for_being_blank(lines: list[tuple[str, str]]) -> None:
    """Whatever the builder makes passes the check, unless there is nothing to see in it."""
    message = _built(lines).button(Button(text="Go", payload="premium"))
    try:
        normalise(parse(message.render()))
    except EmptyText:
        with pytest.raises(Refused, match="text must be non-empty"):
            check(message.render(), buttons=message.buttons)
    else:
        check(message.render(), buttons=message.buttons)


@given(TEXTS)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    """What Telegram stores is what it would store again."""
    try:
        once = normalise(Formatted(text))
    except EmptyText:
        return
    assert normalise(Formatted(once.text)).text == once.text


STYLES = st.sampled_from(
    ["*{}*", "_{}_\r", "~{}~", "||{}||", "`{}`", "[{}](a.bc)", "{}", "![{}](tg://emoji?id=5)"]
)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda style, parts: style.format("".join(parts)), STYLES, st.lists(inner, max_size=3))


SOURCES = st.recursive(TEXTS.map(escape), _nested, max_leaves=8).map(lambda source: f"a{source}z")


@given(SOURCES)
@settings(max_examples=200)
def test_normalised_entities_fit_their_text(source: str) -> None:
    """Offsets are UTF-16 units inside the text, sorted, and never cut a character in two."""
    try:
        normalised = normalise_whole(parse(source))
    except ParseError:
        return
    units = normalised.text.encode("utf-16-le")
    assert list(normalised.entities) == sorted(
        normalised.entities, key=lambda each: (each.offset, -each.length)
    )
    for entity in normalised.entities:
        assert entity.length > 0
        assert entity.end * 2 <= len(units)
        units[entity.offset * 2 : entity.end * 2].decode("utf-16-le")


@given(SOURCES)
@example("a*```**```*z")
@settings(max_examples=200)
def test_styles_are_kept_letter_by_letter(source: str) -> None:
    """Normalisation may merge and split styles; no visible letter outside code gains or loses one."""
    try:
        parsed = parse(source)
    except ParseError:
        return
    before = {style: _letters(parsed, style) for style in ("bold", "italic", "strikethrough", "spoiler")}
    normalised = normalise_whole(parsed)
    if _codes(parsed) != _codes(normalised):
        # Code within a link is no longer code, and takes part in styles again.
        return
    for style, letters in before.items():
        assert _letters(normalised, style) == letters


def _codes(formatted: Formatted) -> int:
    return sum(each.type in ("code", "pre") for each in formatted.entities)


def _letters(formatted: Formatted, style: str) -> list[str]:
    units = formatted.text.encode("utf-16-le")
    pick: Callable[[str], list[range]] = lambda kind: [  # noqa: E731 - used twice, two lines below
        range(each.offset, each.end) for each in formatted.entities if each.type == kind
    ]
    styled, code = set().union(*pick(style)), set().union(*pick("code"), *pick("pre"))
    return [
        chr(int.from_bytes(units[unit * 2 : unit * 2 + 2], "little"))
        for unit in sorted(styled - code)
        if 0x21 <= int.from_bytes(units[unit * 2 : unit * 2 + 2], "little") < 0x7F
    ]
