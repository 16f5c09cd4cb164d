"""Push in the browser: a page where visitors turn notifications on, the worker that shows them, and links."""

from services.gateway.api.push.pages import add_pages
from services.gateway.api.push.subscribing import (
    ROUTES,
    Pushing,
    pushing,
    subscribe,
    unsubscribe,
)

__all__ = ["ROUTES", "Pushing", "add_pages", "pushing", "subscribe", "unsubscribe"]
