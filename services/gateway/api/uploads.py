"""Lists of recipients as files: read as they come, and handed to senders part by part."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from pydantic import BaseModel, ValidationError

from services.gateway.api.asking import Call, answer
from services.gateway.api.problems import Problem, errors_of
from services.gateway.api.requests import CampaignRecipientIn
from services.gateway.domain.lists import CsvEntries, Found, JsonEntries, Line, Lines, NoHead, Unreadable
from services.gateway.domain.roles import KeyRole
from shared import ids
from shared.bus import NoAnswer, Refusal
from shared.queries import AddCampaignRecipients, CampaignView, GetCampaign, ListedRecipient, RecipientsAdded
from shared.requesting import Required, template_errors
from shared.text import clean

PART_ENTRIES = 1000
PART_BYTES = 256 * 1024
MOST_LINES = 1_200_000
MOST_NAMED = 1000
ANSWER_SECONDS = 20.0
TRIES = 3

FORMATS: Mapping[str, type[CsvEntries | JsonEntries]] = {
    "text/csv": CsvEntries,
    "application/x-ndjson": JsonEntries,
}


class BadLine(BaseModel):
    """A line that was left out, and why."""

    line: int
    message: str


class Uploaded(BaseModel):
    """What became of a file; of lines left out or repeated, the first thousand are named."""

    id: UUID
    recipients: int
    """How long the campaign's list is now."""
    added: int = 0
    duplicates: int = 0
    duplicate_lines: list[int] = []
    bad: int = 0
    bad_lines: list[BadLine] = []


@dataclass
class Upload:
    """A file on its way to a campaign's list."""

    call: Call
    campaign: CampaignView
    known: Mapping[str, Required]
    done: Uploaded
    upload_id: UUID = field(default_factory=uuid4)
    part: list[ListedRecipient] = field(default_factory=list)
    size: int = 0
    parts: int = 0
    handed: "asyncio.Task[RecipientsAdded] | None" = None

    async def take(self, found: Iterable[Found], size: int) -> None:
        """Take what stands on a line of a size; hand a part over when there is enough for one."""
        for number, given in found:
            try:
                if isinstance(given, Unreadable):
                    raise given
                self.part.append(self._checked(number, clean(dict(given))))
            except Unreadable as problem:
                self.leave_out(number, str(problem))
        self.size += size
        if len(self.part) >= PART_ENTRIES or self.size >= PART_BYTES:
            await self.hand_over()

    def leave_out(self, number: int, message: str) -> None:
        """Note a bad line."""
        self.done.bad += 1
        if len(self.done.bad_lines) < MOST_NAMED:
            self.done.bad_lines.append(BadLine(line=number, message=message))

    async def hand_over(self) -> None:
        """Hand a part to senders, once the part before is there; the next is read meanwhile."""
        await self.settle()
        if not self.part:
            return
        entries, self.part, self.size, self.parts = self.part, [], 0, self.parts + 1
        owner = None if self.call.key.role >= KeyRole.ADMIN else self.call.key.id
        command = AddCampaignRecipients.model_construct(
            campaign_id=self.campaign.id, recipients=tuple(entries), by=owner, cause=self._cause(entries)
        )
        self.handed = asyncio.create_task(self._add(command))

    async def settle(self) -> None:
        """Wait until senders has the part that was handed over, and count what came of it."""
        if self.handed is None:
            return
        handed, self.handed = self.handed, None
        added = await handed
        self.done.added += added.added
        self.done.duplicates += len(added.duplicates)
        room = MOST_NAMED - len(self.done.duplicate_lines)
        self.done.duplicate_lines += added.duplicates[:room]
        self.done.recipients = added.intended

    async def _add(self, command: AddCampaignRecipients) -> RecipientsAdded:
        """Ask senders; without an answer the same part is given again, which changes nothing twice."""
        for _ in range(TRIES - 1):
            try:
                return await self.call.door.bus.ask(command, timeout=ANSWER_SECONDS)
            except NoAnswer:
                continue
        return await self.call.door.bus.ask(command, timeout=ANSWER_SECONDS)

    def _cause(self, entries: list[ListedRecipient]) -> UUID:
        """Return the id of a part: the same for the same lines of the same upload."""
        said = "\n".join(entry.model_dump_json() for entry in entries) if self.is_repeatable else ""
        return ids.derived("campaign part", self.upload_id, self.parts, said)

    @property
    def is_repeatable(self) -> bool:
        """Whether the whole upload may come again under its key."""
        return self.call.idempotency_key() is not None

    def _checked(self, number: int, given: dict[str, Any]) -> ListedRecipient:
        try:
            entry = CampaignRecipientIn.model_validate(given)
        except ValidationError as error:
            raise Unreadable(_said(errors_of(error))) from None
        if self.campaign.template is not None:
            variables = {**self.campaign.variables, **entry.variables}
            wrong = template_errors(self.known, self.campaign.template, self.campaign.channels, variables)
            if wrong:
                raise Unreadable(_said(wrong))
        return ListedRecipient.model_construct(line=number, **dict(entry))


async def upload_recipients(call: Call) -> web.Response:
    """Add a file of recipients to a draft's list: CSV with a head, or NDJSON.

    It is read as it comes, and may be as long as a list may be. CSV has the columns user_id, telegram_chat_id
    or email, and any other column is a variable. A bad line is left out, and named with its number; so is a
    recipient who is on the list already. Uploading a file again adds nothing twice.
    """
    kind = FORMATS.get(call.request.content_type)
    if kind is None:
        raise Problem(415, "Unsupported media type", f"expected {' or '.join(FORMATS)}")
    campaign = await call.door.bus.ask(GetCampaign(campaign_id=call.path_id("campaign_id")))
    key = call.idempotency_key()
    upload = Upload(
        call,
        campaign,
        await call.door.templates.all(),
        Uploaded(id=campaign.id, recipients=campaign.intended),
    )
    if key is not None:
        upload.upload_id = ids.derived("upload", call.key.id, campaign.id, key)
    entries = kind()
    try:
        async for line in _lines(call.request):
            await upload.take(entries.read(line), len(line.data or b""))
        await upload.take(entries.end(), 0)
        await upload.hand_over()
        await upload.settle()
    except NoHead as problem:
        raise Problem(422, "Invalid list", str(problem)) from None
    except Refusal as refusal:
        raise Problem(
            refusal.status, refusal.title, refusal.detail,
            added=upload.done.added, recipients=upload.done.recipients,
        ) from None  # fmt: skip
    finally:
        if upload.handed is not None:
            upload.handed.cancel()
    return answer(upload.done)


async def _lines(request: web.Request) -> AsyncIterator[Line]:
    lines = Lines()
    async for piece in request.content.iter_chunked(64 * 1024):
        for line in lines.feed(piece):
            yield line
        if lines.number > MOST_LINES:
            raise Problem(413, "Content too large", f"a file has at most {MOST_LINES:,} lines")
        # Whoever else is served has a turn.
        await asyncio.sleep(0)
    for line in lines.end():
        yield line


def _said(errors: list[dict[str, Any]] | list[dict[str, str]]) -> str:
    return "; ".join(
        f"{each['field']}: {each['message']}" if each["field"] else each["message"] for each in errors
    )
