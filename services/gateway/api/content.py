"""What is said in a message or a campaign, checked before it is accepted."""

from collections.abc import Mapping
from typing import Any

from services.gateway.api.asking import Door
from services.gateway.api.requests import ContentIn
from shared.requesting import template_errors, text_errors


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
    else:
        errors += text_errors(content.body, content.chain)
    return errors
