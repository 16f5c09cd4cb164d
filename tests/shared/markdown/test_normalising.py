"""What Telegram stores of a parsed text is foreseen, entity by entity."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.markdown import EmptyText, Entity, Formatted, normalise, parse, tdlib


def _shown(source: str) -> tuple[str, list[tuple[str, int, int]]]:
    normalised = normalise(parse(source))
    return normalised.text, [(each.type, each.offset, each.length) for each in normalised.entities]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\tb\x00c\x0bd", "a b c d"),
        ("a\rb\r\nc", "ab\nc"),
        ("a\u202eb\u2028c", "abc"),
        ("a\u030a\u0333\u033f", "a"),
        ("\u200e\u200f\u200ex", "\u200c\u200c\u200ex"),
        ("  a \n ", "a"),
        ("x\U0001d431x\U0001d431\r😀", "x\U0001d431x\U0001d431😀"),
    ],
)
def test_characters_are_cleaned_as_telegram_cleans_them(text: str, stored: str) -> None:
    """Control characters become spaces, some characters go, edges are trimmed, the rest is untouched."""
    assert normalise(Formatted(text)).text == stored


@pytest.mark.parametrize(
    "text", ["", " \n", "\u200b", "\u00a0\u2800", "\ufeff\u3000", "\U000e0020", "\t\x00\r"]
)
def test_text_with_nothing_to_see_is_empty(text: str) -> None:
    """Telegram refuses what shows nothing, in these words."""
    with pytest.raises(EmptyText, match=r"^text must be non-empty$"):
        normalise(Formatted(text))


@pytest.mark.parametrize(
    ("source", "text", "entities"),
    [
        ("*a _b_ c*", "a b c", [("bold", 0, 2), ("bold", 2, 3), ("italic", 2, 1)]),
        ("*a**b*", "ab", [("bold", 0, 2)]),
        ("*a `b` c*", "a b c", [("bold", 0, 2), ("code", 2, 1), ("bold", 3, 2)]),
        ("[*b* `c`](x.yz)", "b c", [("text_link", 0, 3), ("bold", 0, 1)]),
        ("*a*\r*b* *\n*", "ab", [("bold", 0, 2)]),
        ("  *a * ", "a", [("bold", 0, 1)]),
        ("  * a*", " a", [("bold", 0, 2)]),
        ("\t*😀\ra*", "😀a", [("bold", 0, 3)]),
        ("[  ](x.yz) a", "   a", [("text_link", 0, 2)]),
        (">*a*\n>b\n c", "a\nb\n c", [("blockquote", 0, 4), ("bold", 0, 1)]),
    ],
)
def test_entities_are_merged_split_and_dropped(
    source: str, text: str, entities: list[tuple[str, int, int]]
) -> None:
    """Styles merge and split, code and links win over what they hold, edges shrink with their text."""
    assert _shown(source) == (text, entities)


@pytest.mark.parametrize(
    ("source", "entities"),
    [
        ("*/start now*", [("bot_command", 0, 6), ("bold", 0, 6), ("bold", 6, 4)]),
        ("`/start` /go", [("code", 0, 6), ("bot_command", 7, 3)]),
        (r"[x\.com](y.com) z\.com", [("text_link", 0, 5), ("url", 6, 5)]),
        (">@somebody", [("blockquote", 0, 9), ("mention", 0, 9)]),
        ("*4111111111111111 ok*", [("bold", 0, 16), ("bold", 16, 3)]),
    ],
)
def test_detection_gives_way_to_what_is_written(source: str, entities: list[tuple[str, int, int]]) -> None:
    """Commands, mentions and URLs are marked unless a link or code is there already; they split styles."""
    assert _shown(source)[1] == entities


def test_what_an_entity_carries_survives() -> None:
    """Link targets, languages, users, emoji and times belong to their entity wherever it moves."""
    source = "\r  [l](tg://a) [m](tg://user?id=7) ![e](tg://emoji?id=5) ![t](tg://time?unix=9&format=wD)"
    source += " ```py\n c```"
    carried = [{k: v for k, v in each.to_dict().items() if k not in {"offset", "length"}}
               for each in normalise(parse(source)).entities]  # fmt: skip
    assert carried == [
        {"type": "text_link", "url": "tg://a/"},
        {"type": "text_mention", "user": {"id": 7, "is_bot": False, "first_name": "7"}},
        {"type": "custom_emoji", "custom_emoji_id": "5"},
        {"type": "date_time", "unix_time": 9, "date_time_format": "wD"},
        {"type": "pre", "language": "py"},
    ]


def test_the_first_hundred_entities_are_kept() -> None:
    """Telegram ignores the rest without an error."""
    normalised = normalise(parse("*a* " * 150))
    assert len(normalised.entities) == 100
    assert normalised.entities[-1] == Entity("bold", 198, 1)


def test_the_longest_source_is_not_cut() -> None:
    """A source of 32768 bytes is normalised whole, and only then too long."""
    text = "é_" * 10_922
    assert normalise(Formatted(text)).text == text


UNMARKED = st.text(st.sampled_from("ab 😀é\r\n\t\x00\u202e\u200e\u200f\u030aא"), min_size=1, max_size=8)
SOURCES = st.lists(
    st.tuples(st.sampled_from(["*{}*", "_{}_ ", "`{}`", "{}", "[{}](a.bc)", "||{}||", "*a_{}_*"]), UNMARKED),
    max_size=6,
).map(lambda parts: "a" + "".join(style.format(text) for style, text in parts) + "a")


@given(SOURCES)
def test_the_skeleton_changes_nothing(source: str) -> None:
    """Where a text holds no marks, TDLib's own answer on the text itself is the same as ours."""
    parsed = tdlib.execute(
        "parseTextEntities", text=source, parse_mode={"@type": "textParseModeMarkdown", "version": 2}
    )
    assume(parsed["@type"] == "formattedText")
    direct = tdlib.execute("parseMarkdown", text=parsed)
    expected = Formatted(direct["text"], tdlib.entities(direct))
    assert normalise(parse(source)) == expected
