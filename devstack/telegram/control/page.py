"""A page that shows the chats as people see them, with buttons to press."""

from devstack.telegram.cloud import Cloud


def page(cloud: Cloud) -> str:
    """Return the page."""
    return f"<!doctype html><p>{len(cloud.world.chats)} chats"
