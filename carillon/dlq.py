"""`carillon dlq`: list, show, replay and discard dead letters."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption, System
from shared.bus import Bus, BusUnavailable, DeadLetter

app = typer.Typer(help="Dead letters: what could not be handled.", no_args_is_help=True)

NumberArgument = Annotated[int, typer.Argument(help="The dead letter's number, from `dlq list`.")]
DurableOption = Annotated[str | None, typer.Option("--durable", help="Only those of this durable consumer.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Only those that died of this: unparsable, failed, crashed.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All dead letters.")]
NumbersArgument = Annotated[list[int] | None, typer.Argument(help="Numbers, from `dlq list`.")]


@dataclass(frozen=True)
class Which:
    """Which dead letters a command is about."""

    numbers: tuple[int, ...] = ()
    durable: str | None = None
    reason: str | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Say whether a dead letter is meant."""
        return (
            (not self.numbers or letter.number in self.numbers)
            and self.durable in (None, letter.durable)
            and self.reason in (None, letter.reason)
        )


@app.command("list")
def list_(
    stack: StackOption = None,
    durable: DurableOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """List the open dead letters, oldest first."""
    letters = asyncio.run(_collect(System.find(stack), Which(durable=durable, reason=reason)))
    if json:
        print_json([summary(letter) for letter in letters])
        return
    if not letters:
        console.print("No dead letters.")
        return
    rows = [
        (each.number, each.durable, each.event or "?", each.reason, each.error, each.attempts, each.died_at)
        for each in letters
    ]
    print_table(("number", "durable", "event", "reason", "error", "tries", "died at"), rows)


@app.command()
def show(number: NumberArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Show one dead letter with its payload."""
    letters = asyncio.run(_collect(System.find(stack), Which(numbers=(number,))))
    if not letters:
        fail(f"there is no dead letter {number}", code=1)
    [letter] = letters
    whole = {**summary(letter), "payload": letter.said()}
    if json:
        print_json(whole)
        return
    for field, value in whole.items():
        console.print(f"[bold]{field:>10}[/bold]  ", end="")
        print_json(value) if field == "payload" else console.print(value, markup=False)


@app.command()
def replay(
    numbers: NumbersArgument = None,
    stack: StackOption = None,
    durable: DurableOption = None,
    reason: ReasonOption = None,
    every: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Publish dead letters again, under their own event ids; an expired one will end as suppressed."""
    which = _which(numbers, durable, reason, every=every)
    _report("replayed", asyncio.run(_apply(System.find(stack), which, "replay")), json=json)


@app.command()
def discard(
    numbers: NumbersArgument = None,
    stack: StackOption = None,
    durable: DurableOption = None,
    reason: ReasonOption = None,
    every: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Remove dead letters for good."""
    which = _which(numbers, durable, reason, every=every)
    _report("discarded", asyncio.run(_apply(System.find(stack), which, "discard")), json=json)


def summary(letter: DeadLetter) -> dict[str, Any]:
    """Return everything about a dead letter but its payload."""
    return {
        "number": letter.number,
        "durable": letter.durable,
        "event": letter.event,
        "event_id": letter.event_key,
        "subject": letter.subject,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "replay": letter.replay,
        "origin": letter.origin,
        "trace_id": letter.trace_id,
        "died_at": letter.died_at,
        "expired": letter.has_expired(datetime.now(UTC)),
        "erased": letter.erased,
    }


async def letters_of(bus: Bus, which: Which) -> AsyncIterator[DeadLetter]:
    """Yield the open dead letters that are meant."""
    async for letter in bus.dead_letters.all():
        if which.matches(letter):
            yield letter


def _which(numbers: list[int] | None, durable: str | None, reason: str | None, *, every: bool) -> Which:
    if not (numbers or durable or reason or every):
        fail("say which: numbers, --durable, --reason, or --all")
    return Which(tuple(numbers or ()), durable, reason)


async def _collect(system: System, which: Which) -> list[DeadLetter]:
    async with system.bus() as bus:
        return [letter async for letter in letters_of(bus, which)]


async def _apply(system: System, which: Which, action: str) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    erased: list[int] = []
    async with system.bus() as bus:
        # One by one: payloads may be large, and many. What dies again meanwhile is none of them.
        async for letter in letters_of(bus, which):
            try:
                if action == "discard":
                    await bus.dead_letters.discard(letter)
                elif letter.erased:
                    erased.append(letter.number)
                    continue
                else:
                    await bus.dead_letters.replay(letter)
            except BusUnavailable as error:
                fail(f"{len(done)} done, then the broker did not answer ({error}); run it again", code=1)
            done.append(summary(letter))
    if erased:
        named = ", ".join(map(str, erased[:20]))
        fail(f"{len(done)} done; erased, and only to be discarded: dead letters {named}", code=1)
    if which.numbers and (missing := set(which.numbers) - {letter["number"] for letter in done}):
        fail(f"{len(done)} done; there is no dead letter {', '.join(map(str, sorted(missing)))}", code=1)
    return done


def _report(word: str, letters: list[dict[str, Any]], *, json: bool) -> None:
    expired = sum(letter["expired"] for letter in letters)
    if json:
        print_json({word: letters, "expired": expired})
        return
    console.print(f"{len(letters)} {word}.")
    if expired and word == "replayed":
        console.print(f"{expired} of them had expired: they end as suppressed (expired).")
