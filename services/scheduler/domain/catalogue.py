"""The catalogue's promos, and the four that ship."""

from dataclasses import dataclass

from shared.events import Button


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
        if self.payload is not None:
            return Button(text=self.cta_text, payload=self.payload)
        return Button(text=self.cta_text, url=self.url)


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
