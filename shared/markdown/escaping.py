"""Text made safe for each place of MarkdownV2 where it can stand."""

import re

_RESERVED = re.compile(r"[_*\[\]()~`>#+\-=|{}.!\\]")
_IN_CODE = re.compile(r"[`\\]")
_IN_LINK = re.compile(r"[)\\]")


def escape(text: str) -> str:
    """Escape text for anywhere but code and link targets: all 18 reserved characters and the backslash."""
    return _RESERVED.sub(r"\\\g<0>", text)


def escape_code(text: str) -> str:
    """Escape text for inside code and pre: the backtick and the backslash."""
    return _IN_CODE.sub(r"\\\g<0>", text)


def escape_link(url: str) -> str:
    """Escape a link's target for between its parentheses: `)` and the backslash."""
    return _IN_LINK.sub(r"\\\g<0>", url)
