"""A message built line by line, which cannot come out as invalid MarkdownV2."""

from typing import Self

from shared.events import Button
from shared.markdown.escaping import escape, escape_code, escape_link
from shared.markdown.model import EmptyText, Formatted
from shared.markdown.normalising import normalise
from shared.markdown.parsing import link_problem, parse

_DIVIDER = "─" * 16


class BadLink(ValueError):
    """A link that Telegram would show as bare text."""


class Message:
    """A Telegram message in the making; every call adds a line, or a row of buttons, and returns the message.

    Whatever text goes in, `render` gives MarkdownV2 whose parsed text is exactly `plain`.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []
        self._buttons: list[tuple[Button, ...]] = []

    def title(self, text: str) -> Self:
        """Add a bold line."""
        return self._add(text, f"*{escape(text)}*")

    def text(self, text: str) -> Self:
        """Add a line of plain text."""
        return self._add(text, escape(text))

    def bullet(self, text: str) -> Self:
        """Add a line that starts with a bullet."""
        return self.text(f"• {text}")

    def code(self, text: str) -> Self:
        """Add a line in fixed-width letters, copied by a tap."""
        return self._add(text, f"`{escape_code(text)}`")

    def divider(self) -> Self:
        """Add a horizontal line."""
        return self.text(_DIVIDER)

    def blank(self) -> Self:
        """Add an empty line."""
        return self.text("")

    def link(self, text: str, url: str) -> Self:
        """Add a line that is a link; raises BadLink where Telegram would drop it."""
        try:
            # What Telegram sees as blank is more than spaces: a NUL becomes one, zero width shows nothing.
            normalise(Formatted(text))
        except EmptyText:
            raise BadLink("a link needs a visible text") from None
        if problem := link_problem(url):
            raise BadLink(problem)
        return self._add(text, f"[{escape(text)}]({escape_link(url)})")

    def source(self, markdown: str) -> Self:
        """Add lines that are MarkdownV2 already, such as a text that was checked when it was saved.

        Raises ParseError where Telegram would refuse them.
        """
        return self._add(parse(markdown, "MarkdownV2").text, markdown)

    def button(self, button: Button) -> Self:
        """Add a call to action: a row with one button."""
        return self.row(button)

    def row(self, *buttons: Button) -> Self:
        """Add a row of buttons side by side; without any it adds nothing."""
        if buttons:
            self._buttons.append(buttons)
        return self

    def render(self) -> str:
        """Return the message as MarkdownV2 source."""
        return "\n".join(source for _, source in self._lines)

    @property
    def plain(self) -> str:
        """The text that Telegram's parser gives back."""
        return "\n".join(text for text, _ in self._lines)

    @property
    def buttons(self) -> tuple[tuple[Button, ...], ...]:
        """The inline keyboard, row by row."""
        return tuple(self._buttons)

    def _add(self, text: str, source: str) -> Self:
        self._lines.append((text, source if text else ""))
        return self
