"""What Telegram would refuse, or lose without a word, is refused before it is saved."""

import contextlib
from typing import Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ids
from shared.events import Button
from shared.markdown import BadLink, Message, Refused, bot_api_button, button_problem, check


def _problems(source: str, *buttons: Button) -> tuple[str, ...]:
    with pytest.raises(Refused) as refusal:
        check(source, buttons=[buttons])
    return refusal.value.problems


def test_the_limit_is_counted_in_characters_after_parsing() -> None:
    """4096 emoji pass, escaped or styled; one more does not."""
    assert len(check("*" + "😀" * 4096 + "*").text) == 4096
    assert len(check("\\." * 4096).text) == 4096
    assert _problems("😀" * 4097) == ("message is too long",)


def test_the_source_is_limited_in_bytes() -> None:
    """Telegram refuses more than 32768 bytes of source even where little text is left of it."""
    assert _problems("a" + "\r" * 32_768) == ("text is too long",)


def test_more_than_a_hundred_entities_are_refused() -> None:
    """Telegram would drop the rest silently; detected ones count."""
    check("*a* " * 100)
    assert _problems("*a* " * 100 + "@somebody") == ("101 entities, of which Telegram keeps 100",)


@pytest.mark.parametrize("source", ["", " \n", "\u200b", "**", "` `"])
def test_blank_text_is_refused(source: str) -> None:
    """The parser accepts empty text; the check does not."""
    assert _problems(source) == ("text must be non-empty",)


@pytest.mark.parametrize(
    ("source", "lost"),
    [
        ("[a](ftp://x.yz) b", "1 of 1 links"),
        ("[a](x.yz) [b](localhost) [c](y.zz)", "1 of 3 links"),
        ("[](x.yz) b", "1 of 1 links"),
        ("[a] b", "1 of 1 links"),
        (r"`\`[` [a](nothing)", "1 of 1 links"),
        ("```\n[`x`\\\\``` [a](nothing)", "1 of 1 links"),
    ],
)
def test_a_lost_link_is_refused(source: str, lost: str) -> None:
    """Telegram shows a link with a bad target as bare text, without an error."""
    assert _problems(source) == (f"{lost} would be shown as bare text",)


@pytest.mark.parametrize(
    "source",
    [
        r"[a](https://x.yz/[b`c) \[d\]",
        "`[a](b)` ```\n[`c` d``` x",
        "[a](tg://user?id=5)",
        r"[x\.com]",
        "![x](tg://emoji?id=5) [a*b*](x.yz)",
    ],
)
def test_brackets_that_are_no_link_are_not_taken_for_lost_links(source: str) -> None:
    """Code, targets, escaped brackets, users and custom emoji are read as Telegram reads them."""
    check(source)


@given(st.text(st.sampled_from("`[]()\\a!"), max_size=40))
def test_counting_links_never_takes_long(source: str) -> None:
    """No source makes the check hang; it passes or says why not."""
    with contextlib.suppress(Refused):
        assert check("a" + source).text.startswith("a")


def test_plain_text_is_checked_without_marks() -> None:
    """Without a mode a text has no syntax, only size and substance."""
    assert check("a.b [c](", None).text == "a.b [c]("
    with pytest.raises(Refused, match="message is too long"):
        check("a" * 4097, None)


@pytest.mark.parametrize("mode", ["MarkdownV2", None])
def test_a_lone_surrogate_is_refused_by_name(mode: Literal["MarkdownV2"] | None) -> None:
    """Where nobody has cleaned a text at the edge, that is said, in Telegram's words, and nothing breaks."""
    with pytest.raises(Refused, match="Text must be encoded in UTF-8"):
        check("a\ud800", mode, [[Button(text="\ud800", url="https://x.yz/\ud800")]])


def test_every_problem_is_named_at_once() -> None:
    """An author fixes a text in one round."""
    problems = _problems("*a", Button(text=" ", url="https://x.yz"), Button(text="b", data="é" * 33))
    assert problems == (
        "Can't find end of Bold entity at byte offset 0",
        "a button's text is empty",
        "BUTTON_DATA_INVALID",
    )


def test_a_keyboard_has_at_most_a_hundred_buttons() -> None:
    """The hundred-and-first is refused."""
    button = Button(text="b", data="d")
    check("a", buttons=[[button] * 8] * 12 + [[button] * 4])
    assert _problems("a", *[button] * 101) == ("a message has at most 100 buttons",)


def test_a_keyboard_has_at_most_ten_kilobytes() -> None:
    """Telegram refuses a larger one even with few buttons."""
    assert _problems("a", Button(text="b" * 10_000, data="d")) == ("reply markup is too long",)


@pytest.mark.parametrize(
    ("button", "problem"),
    [
        ({"text": "a", "url": "https://x.yz"}, None),
        ({"text": "a", "url": "tg://resolve?domain=x"}, None),
        ({"text": "a", "url": "http://localhost"},
         "inline keyboard button URL 'http://localhost' is invalid: Wrong HTTP URL"),
        ({"text": "a", "url": "ftp://x.yz"},
         "inline keyboard button URL 'ftp://x.yz' is invalid: Unsupported URL protocol"),
        ({"text": "a", "callback_data": "é" * 32}, None),
        ({"text": "a", "callback_data": "é" * 32 + "x"}, "BUTTON_DATA_INVALID"),
        ({"text": "a", "callback_data": ""},
         "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"),
        ({"text": "a"},
         "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"),
        ({"callback_data": "x"}, "can't parse inline keyboard button: Can't find field \"text\""),
        ({"text": "a", "web_app": {"url": "http://x.yz"}},
         "inline keyboard button Web App URL 'http://x.yz' is invalid: Only HTTPS links are allowed"),
        ({"text": "a", "web_app": {"url": "https://x.yz"}}, None),
        ({"text": "a", "copy_text": {"text": ""}}, "BUTTON_COPY_TEXT_INVALID"),
        ({"text": "a", "copy_text": {"text": "x" * 256}}, None),
        ({"text": "a", "pay": True}, None),
    ],
)  # fmt: skip
def test_a_button_is_judged_in_telegrams_words(button: dict[str, object], problem: str | None) -> None:
    """The simulator and the check share one judgement, and it speaks as Telegram does."""
    assert button_problem(button) == problem


def test_empty_callback_data_is_refused() -> None:
    """Telegram takes it for a button without action."""
    unallowed = "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
    assert _problems("a", Button(text="b", data="")) == (unallowed,)


def test_a_payload_becomes_callback_data_with_its_delivery() -> None:
    """The longest payload with its delivery id stays within 64 bytes."""
    delivery = UUID("6f1e7a52-0c5e-4f7b-9f0d-2f6d1c0ca411")
    button = bot_api_button(Button(text="Go", payload="p" * 32), delivery)
    assert button == {"text": "Go", "callback_data": f"p1.{'p' * 32}.{ids.to_short(delivery)}"}
    assert button_problem(button) is None


@pytest.mark.parametrize(("text", "url"), [("a", "ftp://x.yz"), (" ", "https://x.yz"), ("a", "nowhere")])
def test_the_builder_refuses_a_link_that_would_be_lost(text: str, url: str) -> None:
    """A link that Telegram would drop fails where it is written."""
    with pytest.raises(BadLink):
        Message().link(text, url)
