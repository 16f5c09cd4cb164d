"""A template's files: read, compiled and held to their declaration when they are loaded."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateError, meta

from shared.events import Channel
from shared.templates import engines
from shared.templates.model import BadTemplate
from shared.templates.values import KINDS

FILES: dict[Channel, tuple[str, ...]] = {
    Channel.TELEGRAM: ("telegram.md",),
    Channel.EMAIL: ("email.subject.txt", "email.html", "email.txt"),
    Channel.PUSH: ("push.json",),
}
_DECLARATION = "template.toml"
_PUSH_FIELDS = {"title", "body", "icon", "badge", "data", "urgency"}
_URGENCIES = {"very-low", "low", "normal", "high"}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")

Text = Callable[[Mapping[str, str]], str]
"""A compiled piece of text: variables in, text out."""


@dataclass(frozen=True)
class Declaration:
    """What `template.toml` says: required variables by channel, kinds by variable, defaults."""

    required: dict[Channel, tuple[str, ...]]
    kinds: dict[str, str]
    defaults: dict[str, str]


@dataclass(frozen=True)
class Template:
    """A template: its declaration, and its compiled pieces by (language, channel); "" is the default."""

    name: str
    declaration: Declaration
    pieces: dict[tuple[str, Channel], dict[str, Text]]

    def best(self, channel: Channel, language: str | None) -> dict[str, Text]:
        """Return a channel's pieces in a language, in its root (`es` for `es-MX`), or in the default."""
        tags = (language or "").replace("_", "-").split("-")
        for length in range(len(tags), 0, -1):
            found = self.pieces.get(("-".join(tags[:length]).lower(), channel))
            if found:
                return found
        return self.pieces["", channel]


class Shelf:
    """A folder of templates, and the constants that all of them may use."""

    def __init__(self, folder: Path, constants: Mapping[str, str]) -> None:
        self._folder = folder
        self._constants = constants
        self._html = engines.html(folder)
        self._plain = engines.plain(folder)
        self._telegram = engines.telegram(folder)

    def read(self) -> dict[str, Template]:
        """Read every template, sorted by name; raises BadTemplate."""
        folders = sorted(path.parent for path in self._folder.glob(f"*/{_DECLARATION}"))
        return {folder.name: self._template(folder) for folder in folders}

    def _template(self, folder: Path) -> Template:
        declaration = _declaration(folder)
        pieces = {}
        languages = [path for path in folder.iterdir() if path.is_dir() and _LANGUAGE.fullmatch(path.name)]
        for place, language in ((folder, ""), *((path, path.name.lower()) for path in languages)):
            for channel in declaration.required:
                present = [name for name in FILES[channel] if (place / name).is_file()]
                if present or not language:
                    missing = [name for name in FILES[channel] if name not in present]
                    if missing:
                        raise BadTemplate(f"{place}: no {', '.join(missing)}")
                    pieces[language, channel] = self._compile(place, channel, declaration)
        return Template(folder.name, declaration, pieces)

    def _compile(self, place: Path, channel: Channel, declaration: Declaration) -> dict[str, Text]:
        allowed = {
            *declaration.required[channel],
            *declaration.kinds,
            *declaration.defaults,
            *self._constants,
        }
        pieces = {}
        for name in FILES[channel]:
            path = place / name
            try:
                for key, environment, source in self._sources(path):
                    self._hold(environment, source, allowed)
                    pieces[key] = environment.from_string(source).render
            except (TemplateError, ValueError) as problem:
                raise BadTemplate(f"{path}: {problem}") from problem
        return pieces

    def _sources(self, path: Path) -> Iterator[tuple[str, Environment, str]]:
        source = path.read_text("utf-8").rstrip("\n")
        if path.suffix == ".json":
            for key, text in _leaves(source):
                yield key, self._plain, text
        else:
            engine = {".md": self._telegram, ".html": self._html}.get(path.suffix, self._plain)
            yield path.name, engine, source

    def _hold(self, environment: Environment, source: str, allowed: set[str]) -> None:
        tree = environment.parse(source)
        if environment is self._telegram and engines.captures(environment, source):
            raise ValueError("rendered text cannot be kept and written again here")
        if unknown := meta.find_undeclared_variables(tree) - allowed:
            raise ValueError(f"uses what template.toml does not declare: {', '.join(sorted(unknown))}")
        for other in meta.find_referenced_templates(tree):
            if other is None or environment.loader is None:
                raise ValueError("another template is named by a literal")
            self._hold(environment, environment.loader.get_source(environment, other)[0], allowed)


def _declaration(folder: Path) -> Declaration:
    path = folder / _DECLARATION
    try:
        return _parsed(tomllib.loads(path.read_text("utf-8")))
    except ValueError as problem:
        raise BadTemplate(f"{path}: {problem}") from problem


def _parsed(said: dict[str, Any]) -> Declaration:
    if unknown := said.keys() - {"required", "kinds", "defaults"}:
        raise ValueError(f"unknown table {', '.join(sorted(unknown))}")
    if not said.get("required"):
        raise ValueError("no table [required] with a channel")
    kinds, defaults = said.get("kinds", {}), said.get("defaults", {})
    if wrong := {str(kind) for kind in kinds.values() if kind not in KINDS}:
        raise ValueError(f"unknown kind {', '.join(sorted(wrong))}; there are: {', '.join(KINDS)}")
    required = {Channel(channel): tuple(names) for channel, names in said["required"].items()}
    return Declaration(required, kinds, {name: str(value) for name, value in defaults.items()})


def _leaves(source: str) -> list[tuple[str, str]]:
    """Read a push template: each of its texts is rendered by itself, so no value can break the JSON."""
    said: dict[str, Any] = json.loads(source)
    if said.keys() != _PUSH_FIELDS or not isinstance(said["data"], dict):
        raise ValueError(f"a push template has exactly {', '.join(sorted(_PUSH_FIELDS))}")
    if said["urgency"] not in _URGENCIES:
        raise ValueError(f"urgency is one of {', '.join(sorted(_URGENCIES))}")
    texts = {key: value for key, value in said.items() if key != "data"}
    texts.update({f"data.{key}": value for key, value in said["data"].items()})
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("every value of a push template is a text")
    return list(texts.items())
