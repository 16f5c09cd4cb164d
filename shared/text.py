"""Text as PostgreSQL and JSON accept it."""

import re
from typing import TypeVar, cast

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Json = TypeVar("Json")


def clean(value: Json) -> Json:
    """Return a JSON-like value with every NUL and lone surrogate, in keys too, replaced by U+FFFD.

    The argument is left as it is. Depth is not limited: what a stranger nests is not recursed into.
    """
    root: list[object] = [value]
    unseen: list[list[object] | dict[str, object]] = [root]
    while unseen:
        node = unseen.pop()
        if isinstance(node, dict):
            pairs = list(node.items())
            node.clear()
            node.update((_UNSTORABLE.sub("\ufffd", key), item) for key, item in pairs)
            entries: list[tuple[str, object]] | list[tuple[int, object]] = list(node.items())
        else:
            entries = list(enumerate(node))
        for key, item in entries:
            if isinstance(item, str):
                node[key] = _UNSTORABLE.sub("\ufffd", item)  # type: ignore[index]  # key is of this node's kind
            elif isinstance(item, (list, dict)):
                node[key] = copy = item.copy()  # type: ignore[index]  # likewise
                unseen.append(copy)
    return cast("Json", root[0])
