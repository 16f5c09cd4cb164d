"""Who may do what: the roles of people in the bot, and of keys at the HTTP API."""

from enum import IntEnum


class Role(IntEnum):
    """A person's role in the bot; a higher one may all that a lower one may."""

    PUBLIC = 0
    SUBSCRIBER = 1
    ADMIN = 2
    OWNER = 3

    @property
    def word(self) -> str:
        """The role as tables and events spell it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "Role":
        """Return the role that a word spells; raises KeyError for another word."""
        return cls[word.upper()]


class KeyRole(IntEnum):
    """An API key's role; a higher one may all that a lower one may."""

    SERVICE = 0
    ADMIN = 1
    OWNER = 2

    @property
    def word(self) -> str:
        """The role as tables and commands spell it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "KeyRole":
        """Return the role that a word spells; raises KeyError for another word."""
        return cls[word.upper()]
