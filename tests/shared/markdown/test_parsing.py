"""Telegram's parser answers in Telegram's words and in the Bot API's vocabulary."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.markdown import Entity, Formatted, ParseError, detect, link_problem, parse


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a.", r"Character '.' is reserved and must be escaped with the preceding '\'"),
        ("abc*d", "Can't find end of Bold entity at byte offset 3"),
        ("é_x", "Can't find end of Italic entity at byte offset 2"),
        ("```\nx", "Can't find end of Pre entity at byte offset 0"),
        ("[a](b", "Can't find end of a URL at byte offset 4"),
        ("![a](b)", "Invalid tg://emoji or tg://time URL specified"),
        ("\ud800", "Text must be encoded in UTF-8"),
    ],
)
def test_a_refusal_is_told_in_telegrams_own_words(source: str, words: str) -> None:
    """A ParseError's text is what follows the Bot API's prefix on the wire, nothing else."""
    with pytest.raises(ParseError) as refusal:
        parse(source)
    assert str(refusal.value) == words


@pytest.mark.parametrize(
    ("source", "entity"),
    [
        ("*b*", {"type": "bold", "length": 1}),
        ("_i_", {"type": "italic", "length": 1}),
        ("__u__", {"type": "underline", "length": 1}),
        ("~s~", {"type": "strikethrough", "length": 1}),
        ("||😀||", {"type": "spoiler", "length": 2}),
        ("`c`", {"type": "code", "length": 1}),
        ("```py\nx```", {"type": "pre", "length": 1, "language": "py"}),
        ("```\nx```", {"type": "pre", "length": 1}),
        (">q", {"type": "blockquote", "length": 1}),
        (">q||", {"type": "expandable_blockquote", "length": 1}),
        ("[l](A.example/x)", {"type": "text_link", "length": 1, "url": "http://a.example/x"}),
        ("![😀](tg://emoji?id=55)", {"type": "custom_emoji", "length": 2, "custom_emoji_id": "55"}),
        ("![t](tg://time?unix=5)", {"type": "date_time", "length": 1, "unix_time": 5}),
        *(
            (f"![t](tg://time?unix=5&format={letters})",
             {"type": "date_time", "length": 1, "unix_time": 5, "date_time_format": letters})
            for letters in ("r", "w", "wDt", "d", "T")
        ),
    ],
)  # fmt: skip
def test_entities_speak_the_bot_api(source: str, entity: dict[str, object]) -> None:
    """Every kind of entity has the Bot API's type and fields, lengths in UTF-16 units."""
    assert [each.to_dict() for each in parse(source).entities] == [{"offset": 0, **entity}]


def test_a_mentioned_user_is_a_whole_user() -> None:
    """Clients insist on a User object, not on an id."""
    (mention,) = parse("[u](tg://user?id=7)").entities
    user = {"id": 7, "is_bot": False, "first_name": "7"}
    assert mention.to_dict() == {"type": "text_mention", "offset": 0, "length": 1, "user": user}


def test_an_invalid_link_is_text() -> None:
    """Telegram's parser drops it without an error."""
    assert parse("[x](ftp://a.b)") == Formatted("x")


def test_the_other_two_modes_are_parsed_too() -> None:
    """A bot may send HTML or legacy Markdown; both are Telegram's own parsers."""
    assert parse("<b>a</b>&lt;", "HTML") == Formatted("a<", (Entity("bold", 0, 1),))
    assert parse("*a* b.", "Markdown") == Formatted("a b.", (Entity("bold", 0, 1),))
    with pytest.raises(ParseError, match='Can\'t find end tag corresponding to start tag "b"'):
        parse("<b>a", "HTML")


def test_parsing_is_safe_from_many_threads() -> None:
    """Telegram's parser keeps no state between calls."""
    sources = [f"*{'x' * length}*y" for length in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(parse, sources))
    assert [len(answer.text) for answer in answers] == [length + 1 for length in range(200)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/start-marketing", [("bot_command", 0, 6)]),
        ("/start@carillon_bot now", [("bot_command", 0, 19)]),
        ("/START", [("bot_command", 0, 6)]),
        ("a/start", []),
        ("😀 @somebody", [("mention", 3, 9)]),
        ("#tag $USD", [("hashtag", 0, 4), ("cashtag", 5, 4)]),
        ("a@b.co example.com", [("email", 0, 6), ("url", 7, 11)]),
        ("4111111111111111", []),
        ("0:15", []),
    ],
)
def test_what_telegram_marks_by_itself_is_found(text: str, found: list[tuple[str, int, int]]) -> None:
    """Detection equals Telegram's, without what bots are not shown (bank cards, media time stamps)."""
    assert [(entity.type, entity.offset, entity.length) for entity in detect(text)] == found


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com/?a=b#c", None),
        ("example.com", None),
        ("tg://resolve?domain=x", None),
        ("https://bücher.example", None),
        ("http://localhost/", "URL 'http://localhost/' is invalid: Wrong HTTP URL"),
        ("ftp://a.b", "URL 'ftp://a.b' is invalid: Unsupported URL protocol"),
        (
            "javascript:alert(1)",
            "URL 'javascript:alert(1)' is invalid: Wrong port number specified in the URL",
        ),
    ],
)
def test_a_links_target_is_judged_by_telegram(url: str, problem: str | None) -> None:
    """What Telegram would drop silently in a text is named, in Telegram's words."""
    assert link_problem(url) == problem
