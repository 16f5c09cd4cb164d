"""Who letters come from: EMAIL_SENDERS lists the addresses that may be named."""

from collections.abc import Mapping
from email.utils import parseaddr
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.settings import Settings


class MailSettings(Settings):
    """The settings of services that know the senders of letters."""

    email_senders: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="senders separated by commas, as local@domain or Name <local@domain>"
    )
    """Whom a message may name as its sender; empty: nobody but the default one sends."""

    @field_validator("email_senders", mode="before")
    @classmethod
    def _split_senders(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("email_senders")
    @classmethod
    def _are_senders(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(address_of(sender) for sender in value):
            raise ValueError("expected senders separated by commas, as local@domain or Name <local@domain>")
        return value

    def senders(self) -> Mapping[str, str]:
        """Return the senders that may be named, by their addresses in lower case."""
        return {address_of(sender): sender for sender in self.email_senders}


def address_of(sender: str) -> str:
    """Return the address of `Name <local@domain>`, in lower case; empty where there is none."""
    address = parseaddr(sender)[1]
    return address.casefold() if all(address.partition("@")) else ""
