"""`carillon promo`: the catalogue, and what its promos brought."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

import typer

from carillon.asking import ask, checked, moment, with_bus
from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption
from services.gateway.api.statistics import Charted, Which, draw, log_parts, stats
from services.gateway.domain.statistics import stats_csv
from shared.bus import Bus
from shared.queries import (
    CreatePromo,
    DeletePromo,
    EditPromo,
    GetPromo,
    ListPromos,
    PreviewPromo,
    PromoIn,
    PromoView,
    ReorderPromos,
)

app = typer.Typer(help="Promos: what is posted, and what it brought.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="A promo's id, from `promo list`.")]
TitleOption = Annotated[str | None, typer.Option("--title", help="Plain text, shown in bold.")]
CtaOption = Annotated[str | None, typer.Option("--cta", help="What its button says.")]
PayloadOption = Annotated[str | None, typer.Option("--payload", help="The deep link its button opens.")]
UrlOption = Annotated[str | None, typer.Option("--url", help="Or the https address that it opens.")]
TextOption = Annotated[str | None, typer.Option("--description", help="What stands below the title.")]
MarkdownOption = Annotated[
    bool | None, typer.Option("--markdown/--plain", help="Whether the description is MarkdownV2.")
]
TemplateOption = Annotated[str | None, typer.Option("--template", help="Instead of a description.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="A template's variable, as name=value.")]
PositionOption = Annotated[int | None, typer.Option("--position", help="Its place in the order.")]
SinceOption = Annotated[str | None, typer.Option("--since", help="From this time on.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Before this time.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")]


@app.command("list")
def list_(stack: StackOption = None, json: JsonOption = False) -> None:
    """List the catalogue in its order."""
    found = ask(stack, ListPromos()).items
    if json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    rows = [
        (each.position, each.id, each.title, each.cta_text, each.payload or each.url,
         "yes" if each.enabled else "no")
        for each in found
    ]  # fmt: skip
    print_table(("place", "id", "title", "button", "leads to", "enabled"), rows)


@app.command()
def show(promo: IdArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Show a promo."""
    _show(ask(stack, GetPromo(promo_id=promo)), json=json)


@app.command()
def create(
    promo: Annotated[str, typer.Argument(help="The new id: a-z, 0-9 and _.")],
    title: TitleOption = None,
    cta: CtaOption = None,
    payload: PayloadOption = None,
    url: UrlOption = None,
    description: TextOption = None,
    markdown: MarkdownOption = None,
    template: TemplateOption = None,
    variables: SetOption = None,
    position: PositionOption = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Not to be posted yet.")] = False,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Make a promo; refused as Telegram would refuse it."""
    given = _given(title, cta, payload, url, description, markdown, template, variables, position)
    given = given.model_copy(update={"enabled": not disabled})
    _show(ask(stack, checked(CreatePromo, cause=uuid4(), promo_id=promo, promo=given)), json=json)


@app.command()
def edit(
    promo: IdArgument,
    title: TitleOption = None,
    cta: CtaOption = None,
    payload: PayloadOption = None,
    url: UrlOption = None,
    description: TextOption = None,
    markdown: MarkdownOption = None,
    template: TemplateOption = None,
    variables: SetOption = None,
    position: PositionOption = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what it would be; save nothing.")] = False,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Change what is given of a promo."""
    given = _given(title, cta, payload, url, description, markdown, template, variables, position)
    if preview:
        _preview(stack, promo, given, json=json)
        return
    _show(ask(stack, checked(EditPromo, cause=uuid4(), promo_id=promo, promo=given)), json=json)


@app.command()
def preview(promo: IdArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Show a promo as Telegram shows it."""
    _preview(stack, promo, None, json=json)


@app.command()
def enable(promo: IdArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Let a promo take its turns."""
    _show(ask(stack, EditPromo(cause=uuid4(), promo_id=promo, promo=PromoIn(enabled=True))), json=json)


@app.command()
def disable(promo: IdArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Let a promo take no more turns, and cancel what is unsent of it."""
    _show(ask(stack, EditPromo(cause=uuid4(), promo_id=promo, promo=PromoIn(enabled=False))), json=json)


@app.command()
def reorder(
    promos: Annotated[list[str], typer.Argument(help="Those that come first, in their order.")],
    stack: StackOption = None,
) -> None:
    """Put promos in another order."""
    found = ask(stack, checked(ReorderPromos, cause=uuid4(), promo_ids=tuple(promos)))
    console.print(" → ".join(each.id for each in found.items), markup=False)


@app.command()
def delete(promo: IdArgument, stack: StackOption = None) -> None:
    """Remove a promo and cancel what is unsent of it."""
    console.print(f"Removed {ask(stack, DeletePromo(cause=uuid4(), promo_id=promo)).id}.", markup=False)


@app.command("stats")
def stats_(
    promo: Annotated[str | None, typer.Argument(help="One promo; all when left out.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    csv: CsvOption = False,
    stack: StackOption = None,
    json: JsonOption = False,
) -> None:
    """Show what became of promos, and what they brought."""
    which = Which(promo_id=promo, since=moment(since), until=moment(until))
    found = with_bus(stack, lambda bus: stats(bus, which))
    if csv:
        print(stats_csv(found.items), end="")
    elif json:
        print_json(found.model_dump(mode="json"))
    else:
        columns = ("promo", "slots", "intended", "posted", "failed", "suppressed", "ambiguous", "chats",
                   "presses", "people", "CTR", "conversion")  # fmt: skip
        rows = [
            (each.promo_id, each.slots, each.intended, each.posted, each.failed, each.suppressed,
             each.ambiguous, each.reach, each.clicks, each.unique_users, f"{each.ctr:.2f}",
             f"{each.conversion_rate:.1%}")
            for each in found.items
        ]  # fmt: skip
        print_table(columns, rows)


@app.command()
def log(
    promo: Annotated[str | None, typer.Argument(help="One promo; all when left out.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    stack: StackOption = None,
) -> None:
    """Print the promo log as CSV: a row for each slot and chat, with its presses."""

    async def print_parts(bus: Bus) -> None:
        which = Which(promo_id=promo, since=moment(since), until=moment(until))
        async for part in log_parts(bus, which):
            print(part, end="")

    with_bus(stack, print_parts)


@app.command()
def chart(
    promo: IdArgument,
    out: Annotated[Path | None, typer.Option("--out", help="The file; <id>.svg when left out.")] = None,
    by: Annotated[str, typer.Option("--by", help="hour or day.")] = "day",
    zone: Annotated[str | None, typer.Option("--zone", help="Else the default schedule's.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    stack: StackOption = None,
) -> None:
    """Draw a promo's presses and posts over time, as SVG."""
    if by not in ("hour", "day"):
        fail(f"--by is '{by}'; expected hour or day")
    unit: Literal["hour", "day"] = "hour" if by == "hour" else "day"
    charted = Charted(since=moment(since), until=moment(until), by=unit, time_zone=zone)
    drawn = with_bus(stack, lambda bus: draw(bus, promo, charted, datetime.now(UTC)))
    file = out or Path(f"{promo}.svg")
    file.write_text(drawn)
    console.print(f"Wrote {file}.", markup=False)


def _given(
    title: str | None,
    cta: str | None,
    payload: str | None,
    url: str | None,
    description: str | None,
    markdown: bool | None,
    template: str | None,
    variables: list[str] | None,
    position: int | None,
) -> PromoIn:
    return checked(
        PromoIn, title=title, cta_text=cta, payload=payload, url=url, description=description,
        format=None if markdown is None else ("markdown_v2" if markdown else "plain"), template=template,
        variables=None if variables is None else dict(each.partition("=")[::2] for each in variables),
        position=position,
    )  # fmt: skip


def _preview(stack: Path | None, promo: str, given: PromoIn | None, *, json: bool) -> None:
    shown = ask(stack, PreviewPromo(promo_id=promo, promo=given))
    if json:
        print_json(shown.model_dump(mode="json"))
        return
    console.print(shown.plain, markup=False)
    console.print(f"\n[ {shown.button.text} ] → {shown.button.url or shown.button.payload}", markup=False)


def _show(promo: PromoView, *, json: bool) -> None:
    if json:
        print_json(promo.model_dump(mode="json"))
        return
    for field, value in promo.model_dump().items():
        console.print(f"[bold]{field:>12}[/bold]  ", end="")
        console.print("" if value is None else str(value), markup=False)
