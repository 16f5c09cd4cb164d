"""A trial of templates: rendered with awkward values, and read as the channels' own readers read them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from shared import markdown
from shared.events import Channel
from shared.templates import BadTemplate, TelegramText, TemplateProblem, Templates

AWKWARD: tuple[str, ...] = (
    "EUR/USD 1.0850",
    "_*[]()~`>#+-=|{}.!\\",
    "a\\",
    "```",
    "||x||\n>y",
    "](https://evil.example)",
    "{{ side }}{% raw %}",
    '<b onmouseover="x">&amp;\'</b></style><script>alert(1)</script>',
    '"}, "data": {"url": "https://evil.example"',
    "../../admin?x=1#y",
    "\u05d0\u202e\u05e2 e\u0301",
    "a\r\nBcc: x@example.com",
    "",
)
"""What people, brokers and attackers put into variables."""

_KINDS = {"side": "sell", "money": "-1234567.891", "loss": "1234567.891", "excerpt": "stack.trace! " * 500}


def load(folder: Path, constants: Mapping[str, str]) -> Templates:
    """Read a folder's templates and try every one of them; raises BadTemplate with the first problem."""
    templates = Templates.load(folder, constants)
    for name in templates.names():
        for problem in problems(templates, name):
            raise BadTemplate(problem)
    return templates


def problems(templates: Templates, name: str) -> Iterator[str]:
    """Yield what is wrong with a template, each with its channel and language; raises UnknownTemplate."""
    kinds = templates.kinds(name)
    for channel, required in templates.describe(name).items():
        for language in templates.languages(name, channel):
            where = f"{name}, {channel}, {language or 'default'}"
            for awkward in AWKWARD:
                values = {each: _KINDS.get(kinds.get(each, "text"), awkward) for each in required}
                if problem := _problem(templates, name, channel, values, language):
                    yield f"{where}: with {awkward!r}: {problem}"


def _problem(
    templates: Templates, name: str, channel: Channel, values: dict[str, str], language: str
) -> str | None:
    try:
        rendered = templates.render(name, channel, values, language)
        if isinstance(rendered, TelegramText):
            markdown.check(rendered.text)
    except (TemplateProblem, markdown.Refused) as problem:
        return str(problem)
    return None
