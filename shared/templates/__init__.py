"""Templates are files: `<name>/template.toml` beside a file or three per channel, and per language.

```
<name>/template.toml       [required] telegram = ["instrument", …]   [kinds] side = "side"   [defaults] …
<name>/telegram.md         MarkdownV2; every value is escaped
<name>/email.subject.txt   one line    email.html   values are HTML-escaped    email.txt   written text
<name>/push.json           title, body, icon, badge, urgency, data
<name>/es/…                the same in Spanish, whole channels at a time; what is not there is the default
```
Kinds are those of `shared.templates.values`. A filter `segment` writes a value as a part of a URL's path.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, overload

from shared.events import Channel
from shared.templates.files import Shelf, Template, Text
from shared.templates.model import (
    BadTemplate,
    Email,
    InvalidVariable,
    MissingVariables,
    Push,
    TelegramText,
    TemplateProblem,
    UnknownTemplate,
    Urgency,
)
from shared.templates.values import KINDS

__all__ = [
    "BadTemplate",
    "Email",
    "InvalidVariable",
    "MissingVariables",
    "Push",
    "TelegramText",
    "TemplateProblem",
    "Templates",
    "UnknownTemplate",
]


class Templates:
    """The templates of a folder, compiled."""

    def __init__(self, templates: Mapping[str, Template], constants: Mapping[str, str]) -> None:
        self._templates = templates
        self._constants = constants

    @classmethod
    def load(cls, folder: Path, constants: Mapping[str, str] | None = None) -> "Templates":
        """Read and check every template of a folder; raises BadTemplate, naming the file.

        `constants` (such as `dashboard_url`) may be used by all templates and cannot be overridden.
        """
        constants = dict(constants or {})
        return cls(Shelf(folder, constants).read(), constants)

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates, sorted."""
        return tuple(self._templates)

    def describe(self, name: str) -> dict[Channel, tuple[str, ...]]:
        """Return a template's required variables by channel; raises UnknownTemplate."""
        return dict(self._find(name).declaration.required)

    def kinds(self, name: str) -> dict[str, str]:
        """Return how a template's variables are written, where not as text; raises UnknownTemplate."""
        return dict(self._find(name).declaration.kinds)

    def languages(self, name: str, channel: Channel) -> tuple[str, ...]:
        """Return the languages of a channel, "" (the default) first; raises UnknownTemplate."""
        return tuple(sorted(language for language, each in self._find(name).pieces if each is channel))

    @overload
    def render(
        self,
        name: str,
        channel: Literal["telegram", Channel.TELEGRAM],
        variables: Mapping[str, object],
        language: str | None = None,
    ) -> TelegramText: ...
    @overload
    def render(
        self,
        name: str,
        channel: Literal["email", Channel.EMAIL],
        variables: Mapping[str, object],
        language: str | None = None,
    ) -> Email: ...
    @overload
    def render(
        self,
        name: str,
        channel: Literal["push", Channel.PUSH],
        variables: Mapping[str, object],
        language: str | None = None,
    ) -> Push: ...
    @overload
    def render(
        self, name: str, channel: Channel, variables: Mapping[str, object], language: str | None = None
    ) -> TelegramText | Email | Push: ...
    def render(
        self, name: str, channel: Channel | str, variables: Mapping[str, object], language: str | None = None
    ) -> TelegramText | Email | Push:
        """Render a template for a channel; more variables than required are no error.

        Raises UnknownTemplate, MissingVariables (all of them) and InvalidVariable.
        """
        channel = Channel(channel)
        template = self._find(name, channel)
        pieces = template.best(channel, language)
        values = self._values(template, channel, variables)
        if channel is Channel.TELEGRAM:
            return TelegramText(pieces["telegram.md"](values))
        if channel is Channel.EMAIL:
            subject = " ".join(pieces["email.subject.txt"](values).split())
            return Email(subject, pieces["email.html"](values), pieces["email.txt"](values) + "\n")
        return _push(pieces, values)

    def _find(self, name: str, channel: Channel | None = None) -> Template:
        known = {
            each: template
            for each, template in self._templates.items()
            if channel is None or channel in template.declaration.required
        }
        if name not in known:
            raise UnknownTemplate(name, known)
        return known[name]

    def _values(self, template: Template, channel: Channel, given: Mapping[str, object]) -> dict[str, str]:
        declaration = template.declaration
        present = {name: value for name, value in given.items() if value is not None}
        required = declaration.required[channel]
        missing = [name for name in required if name not in present]
        if missing:
            raise MissingVariables(missing)
        known = {*required, *declaration.kinds, *declaration.defaults}
        written = {
            name: KINDS[declaration.kinds.get(name, "text")](name, value)
            for name, value in present.items()
            if name in known
        }
        return {**declaration.defaults, **written, **self._constants}


def _push(pieces: Mapping[str, Text], values: Mapping[str, str]) -> Push:
    texts = {key: piece(values) for key, piece in pieces.items()}
    return Push(
        title=texts["title"],
        body=texts["body"],
        icon=texts["icon"],
        badge=texts["badge"],
        data={key.removeprefix("data."): text for key, text in texts.items() if key.startswith("data.")},
        urgency=cast("Urgency", texts["urgency"]),
    )
