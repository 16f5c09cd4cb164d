"""A bot as the front door knows it."""

from dataclasses import dataclass, field


@dataclass
class DoorBot:
    """A bot: its name here, its number, its webhook's secret; `username` is learned from Telegram."""

    name: str
    id: int
    secret: bytes | None = field(repr=False)
    username: str | None = None
