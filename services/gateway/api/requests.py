"""What the API takes: every unknown field is refused by name."""

import re
from typing import Annotated, Literal, Self
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from shared.events import Address, Body, Button, Channel, Moment, Text, Variable
from shared.queries import Audience
from shared.requesting import variables_problem

MOST_MESSAGES = 1000
MOST_RECIPIENTS = 10_000
MOST_METADATA = 50
MOST_METADATA_BYTES = 16_384
_EMAIL = re.compile(r"[^@\s\x00-\x1f<>\",;]{1,64}@[^@\s\x00-\x1f<>\",;]{1,189}")


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("expected an e-mail address, as local@domain")
    return value


def _variables(value: dict[str, Variable]) -> dict[str, Variable]:
    if problem := variables_problem(value):
        raise ValueError(problem)
    return value


Integer = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
Email = Annotated[str, AfterValidator(_email)]
Variables = Annotated[dict[str, Variable], AfterValidator(_variables)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class Strict(BaseModel):
    """A part of a request: every field is known, or the request is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AddressIn(Address):
    """A direct address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    telegram_chat_id: Integer | None = None
    email: Email | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.telegram_chat_id is None and self.email is None:
            raise ValueError("an address has telegram_chat_id or email")
        return self


class ButtonIn(Button):
    """A button of a body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BodyIn(Body):
    """A message written out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Text
    buttons: tuple[tuple[ButtonIn, ...], ...] = ()
    subject: Annotated[str, Field(max_length=255)] | None = None

    @field_validator("text")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is blank")
        return value


class ContentIn(Strict):
    """What is said, over which channels: exactly one of `template` and `body`; `channel` is a list of one."""

    channel: Channel | None = None
    channels: tuple[Channel, ...] = ()
    bot: Name | None = None
    sender: Email | None = None
    template: Name | None = None
    body: BodyIn | None = None
    expires_at: Moment | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.template is None) == (self.body is None):
            raise ValueError("expected exactly one of template and body")
        if self.channel is not None and self.channels:
            raise ValueError("expected one of channel and channels")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("channels names a channel twice")
        return self

    @property
    def chain(self) -> tuple[Channel, ...]:
        """The channels that are named, in their order."""
        return (self.channel,) if self.channel else self.channels


class MessageIn(ContentIn):
    """One message to one person."""

    id: UUID | None = None
    user_id: UUID | None = None
    address: AddressIn | None = None
    variables: Variables = {}
    lane: Literal["transactional", "campaign"] = "transactional"
    reply_to_message_id: Integer | None = None
    edit_message_id: Integer | None = None
    not_before: Moment | None = None
    metadata: Annotated[dict[str, JsonValue], Field(max_length=MOST_METADATA)] = {}

    @model_validator(mode="after")
    def _to_somebody(self) -> Self:
        if self.user_id is None and self.address is None:
            raise ValueError("expected user_id or address")
        return self


class MessagesIn(Strict):
    """A batch; one bad item refuses it whole."""

    messages: Annotated[tuple[MessageIn, ...], Field(min_length=1, max_length=MOST_MESSAGES)]


class CampaignRecipientIn(Strict):
    """One entry of a campaign's list."""

    user_id: UUID | None = None
    address: AddressIn | None = None
    variables: Variables = {}

    @model_validator(mode="after")
    def _to_somebody(self) -> Self:
        if self.user_id is None and self.address is None:
            raise ValueError("expected user_id or address")
        return self


class AudienceIn(Audience):
    """People of the directory who may be reached, of these roles and this language where given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: Annotated[tuple[Name, ...], Field(max_length=20)] = ()
    language: Language | None = None


class CampaignIn(ContentIn):
    """One message to a list or to an audience, at once or at a time; a draft waits to be started.

    `variables` are everybody's, a recipient's own come before them.
    """

    id: UUID | None = None
    title: Annotated[str, Field(max_length=200)] | None = None
    variables: Variables = {}
    recipients: Annotated[tuple[CampaignRecipientIn, ...], Field(max_length=MOST_RECIPIENTS)] = ()
    audience: AudienceIn | None = None
    draft: bool = False
    scheduled_at: Moment | None = None


class CampaignStartIn(Strict):
    """When a draft is to be started: at once, unless a time is given."""

    scheduled_at: Moment | None = None


class CampaignEstimateIn(Strict):
    """An audience, and the channels and the bot that it is to be reached over."""

    audience: AudienceIn
    channels: tuple[Channel, ...] = ()
    bot: Name | None = None


def _small(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(orjson.dumps(value)) > MOST_METADATA_BYTES:
        raise ValueError(f"at most {MOST_METADATA_BYTES} bytes of JSON")
    return value


class ClickIn(Strict):
    """What became known of a press: merged into its metadata key by key."""

    metadata: Annotated[
        dict[str, JsonValue], Field(min_length=1, max_length=MOST_METADATA), AfterValidator(_small)
    ]


class TrialIn(Strict):
    """A message to try a template and a channel with."""

    user_id: UUID
    channel: Channel
    template_name: Name
    template_vars: Variables
