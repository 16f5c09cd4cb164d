"""Reading arguments: whatever comes in, nothing crashes, and what is well-formed is kept."""

import json

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.telegram.arguments import Arguments, read, read_body
from devstack.telegram.refusals import Refused

NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n;'), min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
LEAVES = st.none() | st.booleans() | st.integers() | TEXTS
JSON = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(TEXTS, x, max_size=3), max_leaves=5
)


@settings(max_examples=50)
@given(st.dictionaries(NAMES, JSON, max_size=5))
def test_json_bodies_keep_every_member(members: dict[str, object]) -> None:
    """Texts are unquoted, every other value is kept as JSON that means the same."""
    for body in (json.dumps(members), json.dumps(members, ensure_ascii=False, indent=2)):
        read_back = Arguments(read_body("application/json", body.encode()))
        for name, value in members.items():
            text = read_back.text(name)
            assert text == value if isinstance(value, str) else json.loads(text) == value


@given(st.dictionaries(NAMES.filter(str.isalnum), TEXTS, min_size=1))
async def test_multipart_bodies_keep_every_byte(fields: dict[str, str]) -> None:
    """Fields of a multipart body as aiohttp (and with it aiogram) writes it come back unchanged."""
    form = aiohttp.FormData(fields, quote_fields=False, default_to_multipart=True)()
    body = await form.as_bytes()
    assert dict(read_body(form.headers["Content-Type"], body)) == fields


@given(
    st.sampled_from(
        [
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=b",
            "multipart/form-data",
            "",
        ]
    ),
    st.binary(max_size=200) | TEXTS.map(str.encode),
)
def test_no_body_crashes(content_type: str, body: bytes) -> None:
    """Any bytes are read as far as they go, or refused as not being UTF-8."""
    try:
        read("", content_type, body)
    except Refused as refused:
        assert "UTF-8" in refused.description  # noqa: PT017 - both outcomes are right


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("-12x", -12), ("garbage", 0), ("", 0), ("9" * 30, 2**63 - 1), ("+5", 5)],
)
def test_integers_are_lenient_then_bounded(text: str, value: int) -> None:
    """Leading digits count, garbage is 0, and what is too large is cut."""
    assert Arguments([("n", text)]).integer("n", 7) == value


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("1", True), ("on", False), ("2", False)]
)
def test_only_true_yes_and_1_are_true(text: str, *, value: bool) -> None:
    """Every other text is false."""
    assert Arguments([("b", text)]).flag("b") is value
