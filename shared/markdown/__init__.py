"""MarkdownV2 as Telegram reads it: parser, normalisation, builder, and the check before saving or sending.

Everything that Telegram decides is asked of TDLib, offline; all functions are synchronous and thread-safe.
"""

from shared.markdown.buttons import bot_api_button, button_problem, keyboard_problems
from shared.markdown.checking import Refused, check
from shared.markdown.escaping import escape, escape_code, escape_link
from shared.markdown.message import BadLink, Message
from shared.markdown.model import EmptyText, Entity, Formatted, Mode, ParseError
from shared.markdown.normalising import normalise
from shared.markdown.parsing import detect, link_problem, parse

__all__ = [
    "BadLink",
    "EmptyText",
    "Entity",
    "Formatted",
    "Message",
    "Mode",
    "ParseError",
    "Refused",
    "bot_api_button",
    "button_problem",
    "check",
    "detect",
    "escape",
    "escape_code",
    "escape_link",
    "keyboard_problems",
    "link_problem",
    "normalise",
    "parse",
]
