"""The catalogue's promos, what people write of them, and the four that ship."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.events import Button, Variable
from shared.markdown import Message, escape


@dataclass(frozen=True)
class Promo:
    """A promo that can be posted: `text` is MarkdownV2 that has been checked.

    Exactly one of `payload` (of a deep link) and `url` says where its button leads.
    """

    id: str
    title: str
    cta_text: str
    payload: str | None
    url: str | None
    text: str
    enabled: bool
    position: int

    @property
    def place(self) -> tuple[int, str]:
        """Its place in the catalogue's order; where two share a position, the id decides."""
        return self.position, self.id

    @property
    def button(self) -> Button:
        """The button below its text."""
        return button(self.cta_text, self.payload, self.url)


@dataclass(frozen=True)
class Draft:
    """What somebody has written of a promo; with a `template` its text is that of the template.

    `description` is plain text, or MarkdownV2 source when its `format` says so.
    """

    title: str
    cta_text: str
    payload: str | None = None
    url: str | None = None
    description: str = ""
    format: Literal["plain", "markdown_v2"] = "plain"
    template: str | None = None
    variables: Mapping[str, Variable] = field(default_factory=dict)

    @property
    def button(self) -> Button:
        """The button below its text; raises ValueError where it leads nowhere, or to two places."""
        return button(self.cta_text, self.payload, self.url)

    def written(self) -> str:
        """Return its MarkdownV2 where no template gives it: the title in bold, then the description."""
        message = Message().title(self.title)
        if not self.description:
            return message.render()
        body = self.description if self.format == "markdown_v2" else escape(self.description)
        return f"{message.blank().render()}\n{body}"


@dataclass(frozen=True)
class ShippedPromo:
    """A promo of the first catalogue; its text is that of the template of its name."""

    id: str
    title: str
    cta_text: str
    payload: str
    position: int


SHIPPED = (
    ShippedPromo("premium_signals", "🚀 Premium Signals", "🚀 Get premium signals", "premium", 1),
    ShippedPromo("copy_trading", "💎 Copy Trading", "💎 Start copy trading", "copytrading", 2),
    ShippedPromo("analytics", "📊 Analytics", "📊 See the analytics", "analytics", 3),
    ShippedPromo("vip_support", "🎯 VIP Support", "🎯 Talk to VIP support", "vip", 4),
)
"""What a new installation posts until somebody edits its catalogue."""


def button(text: str, payload: str | None, url: str | None) -> Button:
    """Return the button of a promo: a deep link where it has a payload, else a link."""
    return Button(text=text, payload=payload, url=url)
