"""`carillon template`: list, check and render the templates of messages; it needs no stack, only files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption
from shared.events import Channel
from shared.templates import BadTemplate, TemplateProblem, Templates, UnknownTemplate
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


def _load(folder: Path, dashboard_url: str) -> Templates:
    try:
        return Templates.load(folder, {"dashboard_url": dashboard_url.rstrip("/")})
    except BadTemplate as problem:
        fail(str(problem), code=1)
