"""Text is made storable at the edge, once, whatever its shape."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from shared.text import clean

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner),
)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _offends(text: str) -> bool:
    return any(letter == "\x00" or "\ud800" <= letter <= "\udfff" for letter in text)


@given(JSON)
def test_cleaned_json_has_no_nul_and_no_lone_surrogate(value: object) -> None:
    """PostgreSQL and UTF-8 accept every cleaned value; what was acceptable is not touched."""
    cleaned = clean(value)
    assert not any(map(_offends, _texts(cleaned)))
    if not any(map(_offends, _texts(value))):
        assert cleaned == value


def test_each_offender_becomes_one_replacement_character_in_keys_too() -> None:
    """A reader sees that something was there, and where."""
    assert clean({"a\x00": ["\ud800x", {"k": "\udfff\x00"}]}) == {
        "a\ufffd": ["\ufffdx", {"k": "\ufffd\ufffd"}]
    }


def test_a_pair_of_surrogates_written_as_one_emoji_stays() -> None:
    """Only lone surrogates are offenders."""
    assert clean("\U0001f600") == "\U0001f600"


def test_the_argument_is_left_as_it_is() -> None:
    """Who cleans for the store can still log or answer with what came."""
    value = {"a": ["\x00"], "\x00": 1}
    clean(value)
    assert value == {"a": ["\x00"], "\x00": 1}


def test_depth_cannot_exhaust_the_stack() -> None:
    """A stranger's nesting costs memory in proportion, and never a RecursionError."""
    nested: list[object] = ["\x00"]
    for _ in range(100_000):
        nested = [nested]
    cleaned = clean(nested)
    while isinstance(cleaned[0], list):
        cleaned = cleaned[0]
    assert cleaned == ["\ufffd"]
