"""Signed links: nobody can make one, change one, or use one for something else."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.links import BadLink, Links, LinkSettings, Purpose
from shared.settings import secrets_of

OLD, NEW = "o" * 32, "n" * 32
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
WORDS = {"user": "cdb6fb94-99ec-5893-9407-0c2a847b826a", "number": 7}


@given(st.dictionaries(st.text().filter(lambda name: name != "until"), st.text() | st.integers(0, 2**53)))
def test_a_token_says_what_was_signed(said: dict[str, str | int]) -> None:
    """Whatever is signed is read again, the same words give the same token, and a URL can hold it."""
    token = Links([NEW]).sign(Purpose.REDIRECT, said)

    assert Links([NEW]).read(Purpose.REDIRECT, token, NOW) == said
    assert token == Links([NEW]).sign(Purpose.REDIRECT, dict(reversed(said.items())))
    assert not set(token) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(place=st.integers(0), letter=st.sampled_from("aZ09-_.=ä"))
def test_a_changed_token_is_none(place: int, letter: str) -> None:
    """A single other letter anywhere makes a token worthless, also where base64 would not mind."""
    token = Links([NEW]).sign(Purpose.UNSUBSCRIBE, WORDS)
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed == token:
        return

    with pytest.raises(BadLink):
        Links([NEW]).read(Purpose.UNSUBSCRIBE, changed, NOW)


@given(st.text() | st.text("1.aB-_="))
def test_what_we_did_not_sign_is_refused_in_one_way(token: str) -> None:
    """Anything at all is answered with BadLink, and with nothing else."""
    with pytest.raises(BadLink):
        Links([NEW, OLD]).read(Purpose.UNSUBSCRIBE, token, NOW)


def test_a_token_is_bound_to_its_purpose_and_its_key() -> None:
    """What unsubscribes does not redirect, and nobody else's key signs."""
    token = Links([NEW]).sign(Purpose.UNSUBSCRIBE, WORDS)

    for keys, purpose in (([NEW], Purpose.REDIRECT), ([OLD], Purpose.UNSUBSCRIBE)):
        with pytest.raises(BadLink):
            Links(keys).read(purpose, token, NOW)


def test_keys_rotate() -> None:
    """The first key signs; links of the others are good until their key is taken out."""
    before = Links([OLD]).sign(Purpose.PUSH, WORDS)
    both = Links([NEW, OLD])

    assert both.read(Purpose.PUSH, before, NOW) == WORDS
    assert both.sign(Purpose.PUSH, WORDS) == Links([NEW]).sign(Purpose.PUSH, WORDS) != before


def test_a_link_may_end() -> None:
    """A link is good up to its end, and no longer; the end is not part of what it says."""
    token = Links([NEW]).sign(Purpose.PUSH, WORDS, until=NOW)

    assert Links([NEW]).read(Purpose.PUSH, token, NOW) == WORDS
    with pytest.raises(BadLink):
        Links([NEW]).read(Purpose.PUSH, token, NOW + timedelta(seconds=1))
    with pytest.raises(ValueError, match="until"):
        Links([NEW]).sign(Purpose.PUSH, {"until": 1})


@pytest.mark.parametrize("keys", [[], ["short"], [NEW, "short"]])
def test_a_short_key_signs_nothing(keys: list[str]) -> None:
    """Without a key of some length there is no signature worth the name."""
    with pytest.raises(ValueError, match="32 characters"):
        Links(keys)


def test_settings_name_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are split and hidden; a short key, a public URL without keys, and what is no URL are refused."""
    monkeypatch.setenv("LINK_SIGNING_KEYS", f"{NEW}, {OLD}")
    monkeypatch.setenv("PUBLIC_URL", "https://carillon.example/")
    settings = LinkSettings()
    links = settings.links()
    assert links is not None
    assert links.sign(Purpose.PUSH, WORDS) == Links([NEW]).sign(Purpose.PUSH, WORDS)
    assert settings.public_url == "https://carillon.example"
    assert set(secrets_of(settings)) == {NEW, OLD}

    for name, value, told in (
        ("PUBLIC_URL", "carillon.example", "expected a URL"),
        ("LINK_SIGNING_KEYS", f"{NEW},secret", "at least 32 visible ASCII characters"),
        ("LINK_SIGNING_KEYS", "", "LINK_SIGNING_KEYS is not set"),
    ):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            with pytest.raises(ValidationError, match=told) as refused:
                LinkSettings()
            assert "secret" not in str(refused.value)

    monkeypatch.delenv("LINK_SIGNING_KEYS")
    monkeypatch.delenv("PUBLIC_URL")
    assert LinkSettings().links() is None
