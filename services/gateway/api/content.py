"""What is said in a message or a campaign, checked before it is accepted."""

from collections.abc import Mapping
from typing import Any

from services.gateway.api.asking import Door
from services.gateway.api.requests import ContentIn
from services.gateway.api.templates import template_errors
from shared import markdown
from shared.events import Channel


async def content_errors(
    door: Door, content: ContentIn, variables: Mapping[str, object]
) -> list[dict[str, Any]]:
    """Return what is wrong with bot, sender, template, variables or text, in Telegram's own words."""
    errors: list[dict[str, Any]] = []
    if content.bot is not None and content.bot not in door.bots:
        errors.append({"field": "bot", "message": "unknown bot"})
    if content.sender is not None and content.sender.casefold() not in door.senders:
        errors.append({"field": "sender", "message": "is not one of EMAIL_SENDERS"})
    if content.template is not None:
        errors += template_errors(await door.templates.all(), content.template, content.chain, variables)
    elif not content.chain or Channel.TELEGRAM in content.chain:
        errors += _text_errors(content)
    return errors


def _text_errors(content: ContentIn) -> list[dict[str, Any]]:
    body = content.body
    if body is None:
        return []
    try:
        markdown.check(body.text, "MarkdownV2" if body.format == "markdown_v2" else None, body.buttons)
    except markdown.Refused as refused:
        return [{"field": "body", "message": problem} for problem in refused.problems]
    return []
