"""`carillon schedule`: when promos are posted, and what would be."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import typer

from carillon.asking import ask, checked, moment
from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption
from shared.events import schedule_id_of
from shared.queries import (
    CreateSchedule,
    DeleteSchedule,
    EditSchedule,
    GetSchedule,
    ListSchedules,
    PauseSchedule,
    Plan,
    PlanSlots,
    ScheduleChanged,
    ScheduleIn,
    ScheduleView,
    StartSchedule,
    StopSchedule,
)

app = typer.Typer(help="Schedules: when promos are posted, and where.", no_args_is_help=True)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
NameArgument = Annotated[str, typer.Argument(help="A schedule's name, or its id.")]
OrDefault = Annotated[str, typer.Argument(help="A schedule's name, or its id.")]
EveryOption = Annotated[str | None, typer.Option("--every", help="An interval, such as 30m or 4h.")]
CronOption = Annotated[str | None, typer.Option("--cron", help="Five fields, such as '0 20 * * 1-5'.")]
ZoneOption = Annotated[str | None, typer.Option("--zone", help="The time zone, of cron and of reports.")]
ChatOption = Annotated[list[str] | None, typer.Option("--chat", help="A chat's id or @name; repeat it.")]
PromoOption = Annotated[list[str] | None, typer.Option("--promo", help="A promo of its own set; repeat it.")]
AllOption = Annotated[bool | None, typer.Option("--all-promos", help="Take the whole catalogue again.")]
BotOption = Annotated[str | None, typer.Option("--bot", help="The name of the bot that posts.")]
ValidOption = Annotated[str | None, typer.Option("--valid", help="How late a post may be, such as 1h.")]


@app.command("list")
def list_(stack: StackOption = None, json: JsonOption = False) -> None:
    """List the schedules: their state, next and last run."""
    found = ask(stack, ListSchedules()).items
    if json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    rows = [
        (each.name, each.status, _timing(each), each.time_zone, len(each.chat_ids),
         "all" if each.all_promos else len(each.promo_ids), _at(each.next_run, each),
         _at(each.last_run, each))
        for each in found
    ]  # fmt: skip
    print_table(("name", "state", "when", "zone", "chats", "promos", "next run", "last run"), rows)


@app.command()
def show(schedule: OrDefault = "default", stack: StackOption = None, json: JsonOption = False) -> None:
    """Show a schedule."""
    _show(ask(stack, GetSchedule(schedule_id=_id(schedule))), json=json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The new name: a-z, 0-9, _ and -.")],
    every: EveryOption = None,
    cron: CronOption = None,
    zone: ZoneOption = None,
    chat: ChatOption = None,
    promo: PromoOption = None,
    bot: BotOption = None,
    valid: ValidOption = None,
    begin: Annotated[bool, typer.Option("--start", help="Start it, too.")] = False,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Make a schedule; it is stopped until it is started."""
    given = _given(every, cron, zone, chat, promo, None, bot, valid)
    made = ask(stack, checked(CreateSchedule, cause=uuid4(), schedule_name=name, schedule=given))
    if begin:
        made = ask(stack, StartSchedule(cause=uuid4(), schedule_id=made.id)).schedule
    _show(made, json=json)


@app.command()
def edit(
    schedule: NameArgument,
    every: EveryOption = None,
    cron: CronOption = None,
    zone: ZoneOption = None,
    chat: ChatOption = None,
    promo: PromoOption = None,
    all_promos: AllOption = None,
    bot: BotOption = None,
    valid: ValidOption = None,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Change what is given of a schedule."""
    given = _given(every, cron, zone, chat, promo, all_promos, bot, valid)
    _show(ask(stack, EditSchedule(cause=uuid4(), schedule_id=_id(schedule), schedule=given)), json=json)


@app.command()
def delete(schedule: NameArgument, stack: StackOption = None) -> None:
    """Remove a schedule and cancel what is unsent."""
    ask(stack, DeleteSchedule(cause=uuid4(), schedule_id=_id(schedule)))
    console.print(f"Removed {schedule}.", markup=False)


@app.command()
def start(schedule: OrDefault = "default", stack: StackOption = None, json: JsonOption = False) -> None:
    """Start a schedule; the first promo of an interval is posted at once."""
    _changed(ask(stack, StartSchedule(cause=uuid4(), schedule_id=_id(schedule))), json=json)


@app.command()
def stop(schedule: OrDefault = "default", stack: StackOption = None, json: JsonOption = False) -> None:
    """Stop a schedule and cancel what is unsent."""
    _changed(ask(stack, StopSchedule(cause=uuid4(), schedule_id=_id(schedule))), json=json)


@app.command()
def pause(
    until: Annotated[str, typer.Option("--until", help="Post nothing before this time.")],
    schedule: OrDefault = "default",
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Post nothing for a while, and cancel what is unsent."""
    command = PauseSchedule(cause=uuid4(), schedule_id=_id(schedule), until=moment(until))
    _changed(ask(stack, command), json=json)


@app.command()
def resume(schedule: OrDefault = "default", stack: StackOption = None, json: JsonOption = False) -> None:
    """End a pause."""
    _changed(ask(stack, PauseSchedule(cause=uuid4(), schedule_id=_id(schedule))), json=json)


@app.command()
def plan(
    schedule: Annotated[str | None, typer.Argument(help="One schedule; all that run when left out.")] = None,
    days: Annotated[float | None, typer.Option("--days", help="How far ahead; 7 is a week.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many slots at most.")] = 20,
    texts: Annotated[bool, typer.Option("--texts", help="Print the texts, too.")] = False,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Say what would be posted, as things are now; nothing is decided by it."""
    until = None if days is None else datetime.now(UTC) + timedelta(days=days)
    chosen = None if schedule is None else _id(schedule)
    found = ask(stack, PlanSlots(schedule_id=chosen, until=until, limit=limit))
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _print_plan(found, {each.id: each.time_zone for each in ask(stack, ListSchedules()).items}, texts=texts)


def _print_plan(plan: Plan, zones: dict[UUID, str], *, texts: bool) -> None:
    if plan.assumed_start is not None:
        console.print("The schedule is stopped. If it were started now:")
    for post in plan.items:
        at = post.slot.astimezone(ZoneInfo(zones.get(post.schedule_id, "UTC")))
        what = post.promo_id or f"nothing ({post.skipped})"
        console.print(f"{at:%a %d %b %Y %H:%M:%S %Z}  {post.schedule}  {what}  {_chats(len(post.chat_ids))}",
                      markup=False)  # fmt: skip
        if texts and post.plain is not None:
            console.print("\n".join(f"    {line}" for line in post.plain.splitlines()), markup=False)
    if not plan.complete:
        console.print("… and so on; --limit shows more")


def _chats(number: int) -> str:
    return "1 chat" if number == 1 else f"{number} chats"


def _given(
    every: str | None,
    cron: str | None,
    zone: str | None,
    chats: list[str] | None,
    promos: list[str] | None,
    all_promos: bool | None,
    bot: str | None,
    valid: str | None,
) -> ScheduleIn:
    given: ScheduleIn = checked(
        ScheduleIn, bot=bot, interval_seconds=_seconds(every), cron=cron, time_zone=zone,
        chats=None if chats is None else tuple(chats),
        promo_ids=None if promos is None else tuple(promos), all_promos=all_promos,
        validity_seconds=_seconds(valid),
    )  # fmt: skip
    return given


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text)
    if found is None:
        fail(f"'{text}' is no time span; expected one such as 30m, 4h or 1d")
    return float(found[1]) * UNITS[found[2]]


def _id(named: str) -> UUID:
    try:
        return UUID(named)
    except ValueError:
        return schedule_id_of(named)


def _timing(schedule: ScheduleView) -> str:
    return schedule.cron or f"every {timedelta(seconds=schedule.interval_seconds or 0)}"


def _at(at: datetime | None, schedule: ScheduleView) -> str:
    return "" if at is None else f"{at.astimezone(ZoneInfo(schedule.time_zone)):%Y-%m-%d %H:%M:%S}"


def _changed(answer: ScheduleChanged, *, json: bool) -> None:
    if not json and not answer.changed:
        console.print("It was so already; nothing has changed.")
    _show(answer.schedule, json=json)


def _show(schedule: ScheduleView, *, json: bool) -> None:
    if json:
        print_json(schedule.model_dump(mode="json"))
        return
    for field, value in schedule.model_dump(mode="json").items():
        console.print(f"[bold]{field:>16}[/bold]  ", end="")
        console.print("" if value is None else str(value), markup=False)
