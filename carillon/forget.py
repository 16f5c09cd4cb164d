"""`carillon forget`: somebody is forgotten by every service, and erased from the streams."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID, uuid4

import typer

from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption, System
from shared.bus import Bus, BusUnavailable, NoAnswer, Refusal
from shared.ids import derived, user_of_telegram
from shared.queries import ForgetRecipient, GetRecipient, ListClicks, ListRecipients, RecipientView
from shared.record.erasing import Somebody, erase, erase_notes

UserArgument = Annotated[
    str | None, typer.Argument(help="A user's id, or the number of a Telegram user; else give --email.")
]
EmailOption = Annotated[
    list[str] | None, typer.Option("--email", help="An address that messages went to; may be repeated.")
]
WaitOption = Annotated[
    float, typer.Option("--wait", help="Seconds to wait for every service to know.", min=0)
]


@dataclass(frozen=True)
class Erased:
    """What was done: by which ids the person was known, and how many messages of each stream were theirs."""

    user_ids: tuple[UUID, ...]
    messages: int
    streams: dict[str, int]


def command(
    user: UserArgument = None,
    stack: StackOption = None,
    email: EmailOption = None,
    wait: WaitOption = 60.0,
    json: JsonOption = False,
) -> None:
    """Forget somebody for good, in tables and streams; run again after a failure, it does what is left."""
    emails = {each.lower() for each in email or ()}
    if user is None and not emails:
        fail("say who: a user's id, the number of a Telegram user, or --email")
    user_id = None if user is None else _user_id(user)
    try:
        done = asyncio.run(_forget(System.find(stack), user_id, emails, wait))
    except Refusal as refusal:
        fail(f"senders refuses: {refusal.title}", code=1)
    except (NoAnswer, BusUnavailable) as error:
        fail(f"{error}; run it again", code=1)
    if json:
        print_json(vars(done))
        return
    console.print(f"Forgotten: {', '.join(map(str, done.user_ids))}.", markup=False)
    console.print(f"{done.messages} messages in the ledger are nobody's now.")
    print_table(("stream", "erased"), list(done.streams.items()))
    console.print("Backups that were made before still know them: see Backups in the README.")


def _user_id(user: str) -> UUID:
    if user.isdecimal():
        return user_of_telegram(int(user))
    try:
        return UUID(user)
    except ValueError:
        fail(f"'{user}' is neither a user's id nor the number of a Telegram user")


async def _forget(system: System, user_id: UUID | None, emails: set[str], wait: float) -> Erased:
    async with system.bus() as bus:
        user_ids = {user_id} if user_id else await _people(bus, emails)
        views = [view for each in user_ids if (view := await _view(bus, each))]
        known = emails.union(view.email.lower() for view in views if view.email)
        # As long as clicks knows whose they are.
        await erase_notes(bus, await _presses(bus, user_ids, views))
        messages = 0
        for each in sorted(user_ids):
            command = ForgetRecipient(cause=uuid4(), user_id=each, emails=tuple(sorted(known)))
            forgotten = await bus.ask(command, timeout=60)
            user_ids |= {*forgotten.user_ids}
            messages += forgotten.messages
        await asyncio.sleep(1)
        # What is on its way would come to the tables after they have forgotten.
        late = await bus.streams.wait_for_durables(await bus.streams.cut(), seconds=wait)
        if late:
            fail(f"not everybody knows yet ({', '.join(late)}): run it again", code=1)
        somebody = Somebody(frozenset(user_ids), frozenset(known))
        return Erased(tuple(sorted(user_ids)), messages, await erase(bus, somebody))


async def _people(bus: Bus, emails: set[str]) -> set[UUID]:
    """Return who has one of these addresses; a mailbox without a recipient gets an id for the occasion."""
    found: set[UUID] = set()
    for email in emails:
        page = await bus.ask(ListRecipients(email=email, limit=500))
        found |= {each.user_id for each in page.items}
    return found or {derived("mailbox", *sorted(emails))}


async def _view(bus: Bus, user_id: UUID) -> RecipientView | None:
    try:
        return await bus.ask(GetRecipient(user_id=user_id))
    except Refusal:
        return None


async def _presses(bus: Bus, user_ids: set[UUID], views: Sequence[RecipientView]) -> set[UUID]:
    """Return the presses of somebody, by whichever id they are known."""
    linked = {user_of_telegram(view.telegram_id) for view in views if view.telegram_id}
    found: set[UUID] = set()
    for each in user_ids | linked | {view.user_id for view in views}:
        asked = ListClicks(user_id=each, limit=500)
        while True:
            page = await bus.ask(asked, timeout=30)
            found |= {click.id for click in page.items}
            if page.cursor is None:
                break
            asked = asked.model_copy(update={"cursor": page.cursor})
    return found
