"""`carillon template`: list, check, render and preview templates of messages; no stack needed, only files."""

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from carillon.output import console, fail, print_json, print_table
from carillon.picture import draw
from carillon.system import JsonOption
from shared import markdown
from shared.events import Channel
from shared.templates import (
    BadTemplate,
    Email,
    Push,
    TelegramText,
    TemplateProblem,
    Templates,
    UnknownTemplate,
)
from shared.templates.trying import problems

app = typer.Typer(help="Templates of messages, as files.", no_args_is_help=True)

SHIPPED = Path(__file__).parents[1] / "services" / "senders" / "templates"
FolderOption = Annotated[Path, typer.Option("--folder", help="Where the templates are.", show_default=False)]
DashboardOption = Annotated[str, typer.Option("--dashboard-url", help="What their links start with.")]
NameArgument = Annotated[str, typer.Argument(help="A template's name, from `template list`.")]
DASHBOARD = "https://dashboard.example.com"


@app.command("list")
def list_(folder: FolderOption = SHIPPED, json: JsonOption = False) -> None:
    """List the templates: their channels, languages and required variables."""
    templates = _load(folder, DASHBOARD)
    rows = [
        (name, channel, ", ".join(each or "default" for each in templates.languages(name, channel)), required)
        for name in templates.names()
        for channel, required in templates.describe(name).items()
    ]
    if json:
        print_json(
            [dict(zip(("name", "channel", "languages", "required"), row, strict=True)) for row in rows]
        )
        return
    print_table(
        ("template", "channel", "languages", "required"), [(*row[:3], ", ".join(row[3])) for row in rows]
    )


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="One template; all of them when left out.")] = None,
    folder: FolderOption = SHIPPED,
    dashboard_url: DashboardOption = DASHBOARD,
) -> None:
    """Render templates with awkward values and let Telegram's own parser read them."""
    templates = _load(folder, dashboard_url)
    names = templates.names() if name is None else (name,)
    try:
        found = [problem for each in names for problem in problems(templates, each)]
    except UnknownTemplate as unknown:
        fail(str(unknown))
    for problem in found:
        console.print(problem, markup=False)
    if found:
        raise typer.Exit(1)
    console.print(f"{len(names)} in order: {', '.join(names) or 'none'}", markup=False)


@app.command()
def render(
    name: NameArgument,
    channel: Annotated[Channel, typer.Argument(help="The channel.")],
    variables: Annotated[list[str] | None, typer.Option("--set", help="A variable, as name=value.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="Such as es; else the default.")] = None,
    folder: FolderOption = SHIPPED,
    dashboard_url: DashboardOption = DASHBOARD,
) -> None:
    """Render a template for a channel and print what would be sent, as JSON."""
    given = dict(each.partition("=")[::2] for each in variables or [])
    try:
        rendered = _load(folder, dashboard_url).render(name, channel, given, language)
    except TemplateProblem as problem:
        fail(str(problem))
    print_json(asdict(rendered))


@app.command()
def preview(
    out: Annotated[Path, typer.Argument(help="The folder to write into; it is made if it is not there.")],
    name: Annotated[str | None, typer.Argument(help="One template; all of them when left out.")] = None,
    variables: Annotated[list[str] | None, typer.Option("--set", help="A variable, as name=value.")] = None,
    folder: FolderOption = SHIPPED,
    dashboard_url: DashboardOption = DASHBOARD,
) -> None:
    """Write what people would see, in every language: e-mail, push, and a picture of the Telegram message."""
    templates = _load(folder, dashboard_url)
    given = dict(each.partition("=")[::2] for each in variables or [])
    try:
        for each in templates.names() if name is None else (name,):
            for channel, required in templates.describe(each).items():
                values = {**{one: example(one) for one in required}, **given}
                for language in templates.languages(each, channel):
                    rendered = templates.render(each, channel, values, language or None)
                    place = out / each / (language or "default")
                    place.mkdir(parents=True, exist_ok=True)
                    for file, content in _files(rendered).items():
                        (place / file).write_text(content, encoding="utf-8")
                        console.print(str(place / file), markup=False, soft_wrap=True)
    except (TemplateProblem, markdown.Refused) as problem:
        fail(str(problem), code=1)
    except OSError as error:
        fail(f"cannot write into {out}: {error.strerror}", code=1)


def example(variable: str) -> str:
    """Return a value that a variable of that name could have; its name where nobody knows."""
    ends = {"price": "1.0845", "amount": "1234.50", "ticket": "55120934", "volume": "0.50", "side": "sell"}
    known = {
        "instrument": "EURUSD",
        "error_reason": "Not enough margin (code 10019)",
        "approval_id": "a-4711",
    }
    return known.get(variable) or ends.get(variable.rpartition("_")[2], variable.replace("_", " "))


def _files(rendered: Email | Push | TelegramText) -> dict[str, str]:
    match rendered:
        case Email(subject, html, text):
            return {"email.html": html, "email.txt": f"Subject: {subject}\n\n{text}"}
        case Push():
            return {"push.json": dumps(asdict(rendered), indent=2, ensure_ascii=False) + "\n"}
        case TelegramText(text):
            return {"telegram.svg": draw(markdown.check(text))}


def _load(folder: Path, dashboard_url: str) -> Templates:
    try:
        return Templates.load(folder, {"dashboard_url": dashboard_url.rstrip("/")})
    except BadTemplate as problem:
        fail(str(problem), code=1)
