"""One Jinja environment per channel, so that a value cannot leave it unescaped, or escaped twice."""

from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, nodes

from shared.markdown import escape, link_problem

_ESCAPING_FILTERS = ("safe", "escape", "e", "forceescape", "urlize", "xmlattr", "tojson")
_CAPTURES = (
    nodes.Macro,
    nodes.CallBlock,
    nodes.AssignBlock,
    nodes.FilterBlock,
    nodes.Import,
    nodes.FromImport,
)


def html(folder: Path) -> Environment:
    """Return the environment of e-mail's HTML: every value is HTML-escaped."""
    return _environment(folder, autoescape=True)


def plain(folder: Path) -> Environment:
    """Return the environment of subjects, texts and push: values stay as they are."""
    return _environment(folder)


def telegram(folder: Path) -> Environment:
    """Return the environment of MarkdownV2: every value is escaped, once, where it is written.

    Its escaping is valid in links' targets and in code too, where a backslash also stands for the next
    character. What would write rendered text a second time is found by `captures`. `is linkable` asks whether
    Telegram makes a link of an address: it drops others (`http://localhost`) and leaves the bare text.
    """
    environment = _environment(folder)
    environment.finalize = lambda value: escape(str(value))
    environment.tests["linkable"] = lambda url: link_problem(url) is None
    return environment


def captures(environment: Environment, source: str) -> bool:
    """Tell whether a template keeps rendered text in order to write it again, escaped twice."""
    return next(environment.parse(source).find_all(_CAPTURES), None) is not None


def _environment(folder: Path, *, autoescape: bool = False) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=autoescape,  # noqa: S701 - on for HTML; the others are not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in _ESCAPING_FILTERS:
        del environment.filters[name]
    environment.filters["segment"] = _segment
    return environment


def _segment(value: object) -> str:
    """Write a value as one segment of a URL's path."""
    return quote(str(value), safe="")
