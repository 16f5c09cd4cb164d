"""What the bot says, in every language that there is; English where a language has no words for it.

A file `<language>.toml` beside this one holds the texts of a language, `{name}` standing for a value.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FALLBACK = "en"


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)


TEXTS: Mapping[str, Mapping[str, str]] = {
    file.stem: dict(_flat(tomllib.loads(file.read_text(encoding="utf-8"))))
    for file in sorted(Path(__file__).parent.glob("*.toml"))
}
"""Texts by language, then by dotted key."""


def language_of(tag: str | None) -> str:
    """Return the language to speak with somebody whose language tag is this one (`es-MX` is `es`)."""
    language = (tag or "").partition("-")[0].lower()
    return language if language in TEXTS else FALLBACK


def say(language: str | None, key: str, /, **values: object) -> str:
    """Return a text with its values; raises KeyError for a key that English does not have either."""
    known = TEXTS[language_of(language)]
    return (known[key] if key in known else TEXTS[FALLBACK][key]).format_map(values)


def find(language: str | None, key: str) -> str | None:
    """Return a text in exactly this language, or None."""
    return TEXTS[language_of(language)].get(key)
