"""What a delivery says on its channel: a rendered template, or the body that its requester wrote."""

import html
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Literal
from uuid import UUID

from services.senders.domain.requests import Delivery
from services.senders.domain.sending import Content, EmailContent, PushContent, TelegramContent
from shared.events import Body, Button, Channel, Lane
from shared.ids import to_short
from shared.markdown import Refused, check
from shared.templates import Email, Push, TelegramText, TemplateProblem, Templates

TITLE_CHARACTERS = 80
CALLBACK_VERSION = "p1"

UnsubscribeUrl = Callable[[UUID], str]
"""Makes the link by which whom a delivery went to takes leave of campaigns."""

_LEAVE = {"en": "To get no more of these letters", "es": "Para no recibir más estos correos"}

_LEAVE_STYLE = "margin:0;padding:0 20px 24px;text-align:center;font:13px/18px sans-serif;"


class Unwritable(Exception):
    """It cannot be said on this channel: no such template, missing variables, a text Telegram refuses."""


def write(
    delivery: Delivery,
    templates: Templates,
    language: str | None,
    unsubscribe_url: UnsubscribeUrl | None = None,
) -> Content:
    """Return the content of a delivery; raises Unwritable."""
    is_letter = delivery.request.lane is Lane.CAMPAIGN and delivery.channel is Channel.EMAIL
    leave = unsubscribe_url(delivery.id) if is_letter and unsubscribe_url else None
    content = _content(delivery, templates, language, leave)
    if not isinstance(content, EmailContent):
        return content
    return replace(content, unsubscribe_url=leave, sender=delivery.request.sender)


def _content(delivery: Delivery, templates: Templates, language: str | None, leave: str | None) -> Content:
    request = delivery.request
    if request.template is None:
        if request.body is None:
            raise Unwritable("neither template nor body")
        return _of_body(delivery, request.body, language, leave)
    # A template may have a link to leave by, where `unsubscribe_url` is defined.
    variables = {**request.variables, "unsubscribe_url": leave} if leave else request.variables
    try:
        rendered = templates.render(request.template, delivery.channel, variables, language)
    except TemplateProblem as problem:
        raise Unwritable(type(problem).__name__) from problem
    match rendered:
        case TelegramText(text):
            return _telegram(delivery, text, "markdown_v2", ())
        case Email(subject, markup, text):
            return _left_by(EmailContent(subject, text, markup), language, leave)
        case Push():
            return PushContent(
                title=rendered.title,
                body=rendered.body,
                icon=rendered.icon,
                badge=rendered.badge,
                url=rendered.data.get("url"),
                urgency=rendered.urgency,
            )


def _of_body(delivery: Delivery, body: Body, language: str | None, leave: str | None) -> Content:
    if delivery.channel is Channel.TELEGRAM:
        return _telegram(delivery, body.text, body.format, body.buttons)
    try:
        text = check(body.text).text if body.format == "markdown_v2" else body.text
    except Refused as refused:
        raise Unwritable("text refused") from refused
    title = body.subject or text.strip().split("\n", 1)[0][:TITLE_CHARACTERS]
    if delivery.channel is Channel.EMAIL:
        return _left_by(EmailContent(" ".join(title.split()), text), language, leave)
    return PushContent(title=title, body=text)


def _left_by(letter: EmailContent, language: str | None, leave: str | None) -> EmailContent:
    """Return a campaign's letter with a link to leave by, unless its template has one; others as they are."""
    if leave is None:
        return letter
    words, link = _LEAVE.get((language or "")[:2], _LEAVE["en"]), html.escape(leave)
    text, markup = letter.text, letter.html
    if leave not in text:
        text = f"{text.rstrip()}\n\n-- \n{words}: {leave}\n"
    if markup is not None and link not in markup:
        line = f'<p style="{_LEAVE_STYLE}"><a href="{link}" style="color:#52606d;">{words}</a></p>\n'
        body, end, rest = markup.rpartition("</body>")
        markup = f"{body}{line}{end}{rest}" if end else f"{markup}\n{line}"
    return replace(letter, text=text, html=markup)


@lru_cache(maxsize=64)
def _check(text: str, mode: Literal["MarkdownV2"] | None, keyboard: tuple[tuple[Button, ...], ...]) -> None:
    """Check what Telegram gets; what is said to many is parsed once."""
    check(text, mode, keyboard)


def _telegram(
    delivery: Delivery, text: str, written_as: str, buttons: tuple[tuple[Button, ...], ...]
) -> TelegramContent:
    mode: Literal["MarkdownV2"] | None = "MarkdownV2" if written_as == "markdown_v2" else None
    keyboard = tuple(tuple(_pressable(button, delivery) for button in row) for row in buttons)
    try:
        _check(text, mode, keyboard)
    except Refused as refused:
        raise Unwritable("text refused") from refused
    return TelegramContent(
        text=text,
        parse_mode=mode,
        buttons=keyboard,
        reply_to=delivery.request.reply_to_message_id,
        edit=delivery.request.edit_message_id,
    )


def _pressable(button: Button, delivery: Delivery) -> Button:
    """Give a promo's button its callback data: the gateway answers a press from that alone."""
    if button.payload is None:
        return button
    return Button(text=button.text, data=f"{CALLBACK_VERSION}.{button.payload}.{to_short(delivery.id)}")
