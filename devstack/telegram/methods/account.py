"""Methods about the bot itself."""

from typing import Any

from devstack.telegram import shapes
from devstack.telegram.cloud import Call


async def get_me(call: Call) -> dict[str, Any]:
    """Return the bot as a User, with what only getMe shows."""
    return {
        **shapes.user(call.bot.user),
        "can_join_groups": True,
        "can_read_all_group_messages": True,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


async def log_out(call: Call) -> bool:  # noqa: ARG001 - every method takes its call
    """Do nothing: there is no other server to move to."""
    return True


async def close(call: Call) -> bool:  # noqa: ARG001 - every method takes its call
    """Do nothing: there is no other server to move to."""
    return True
