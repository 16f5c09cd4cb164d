"""What a request for a message has to be, wherever it comes in: templates and variables, text, validity."""

import math
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared import markdown
from shared.bus import Bus
from shared.events import DEFAULT_CHAIN, Body, Channel, Lane, Variable
from shared.queries import ListTemplates

FRESH_SECONDS = 5.0
VALID: Mapping[Lane, timedelta] = {
    Lane.TRANSACTIONAL: timedelta(hours=24),
    Lane.CAMPAIGN: timedelta(hours=72),
}
"""How long a message is valid, unless it says otherwise."""

MOST_VARIABLES = 100
LONGEST_VARIABLE = 4096
MOST_CHARACTERS = 65_536
"""Of all variables together: a message has to fit into an event."""

Required = Mapping[Channel, Sequence[str]]


class Templates:
    """The templates of senders, with the variables that each channel requires."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, Required] = {}
        self._senders: frozenset[str] | None = None
        self._asked_at = float("-inf")

    async def all(self) -> Mapping[str, Required]:
        """Return every template by name; raises NoAnswer."""
        if time.monotonic() - self._asked_at > FRESH_SECONDS:
            answer = await self._bus.ask(ListTemplates())
            self._known = {template.name: template.required for template in answer.items}
            self._senders = None if answer.senders is None else frozenset(answer.senders)
            self._asked_at = time.monotonic()
        return self._known

    async def senders(self) -> frozenset[str] | None:
        """Return whom a letter may name as its sender (addresses in lower case), None where it is not told.

        Raises NoAnswer.
        """
        await self.all()
        return self._senders


def template_errors(
    known: Mapping[str, Required], name: str, channels: Sequence[Channel], given: Mapping[str, object]
) -> list[dict[str, str]]:
    """Return what is wrong with the use of a template on channels (the default ones when none are named)."""
    required = known.get(name)
    if required is None:
        return [{"field": "template", "message": f"unknown template; there are: {', '.join(sorted(known))}"}]
    absent = [channel for channel in channels if channel not in required]
    if absent:
        return [{"field": "template", "message": f"has nothing for {', '.join(absent)}"}]
    used = channels or [channel for channel in DEFAULT_CHAIN if channel in required]
    missing = dict.fromkeys(
        variable for channel in used for variable in required[channel] if given.get(variable) is None
    )
    if not missing:
        return []
    return [{"field": "variables", "message": f"missing: {', '.join(missing)}"}]


def variables_problem(given: Mapping[str, Variable]) -> str | None:
    """Return what is wrong with variables, whatever template they are for, or None."""
    if len(given) > MOST_VARIABLES:
        return f"at most {MOST_VARIABLES} variables"
    for name, each in given.items():
        if isinstance(each, str) and len(each) > LONGEST_VARIABLE:
            return f"'{name[:64]}' is longer than {LONGEST_VARIABLE} characters"
        if isinstance(each, float) and not math.isfinite(each):
            return f"'{name[:64]}' is not a finite number"
    if sum(len(name) + len(str(each)) for name, each in given.items()) > MOST_CHARACTERS:
        return f"more than {MOST_CHARACTERS} characters of variables"
    return None


def text_errors(body: Body | None, channels: Sequence[Channel]) -> list[dict[str, str]]:
    """Return what Telegram would refuse of a text that may go there, in its own words."""
    if body is None or (channels and Channel.TELEGRAM not in channels):
        return []
    try:
        markdown.check(body.text, "MarkdownV2" if body.format == "markdown_v2" else None, body.buttons)
    except markdown.Refused as refused:
        return [{"field": "body", "message": problem} for problem in refused.problems]
    return []
