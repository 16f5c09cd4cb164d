"""What gateway answers over HTTP: Telegram's webhook, the API under /api/v1, and the operators' doors."""

from services.gateway.api.asking import Door
from services.gateway.api.auditing import audit
from services.gateway.api.intake import Intake
from services.gateway.api.leaving import Leaving
from services.gateway.api.polling import Poller
from services.gateway.api.redirects import Redirects
from services.gateway.api.rush import Rush
from services.gateway.api.serving import application, body_limit, serve
from services.gateway.api.webhook import Webhook
from shared.requesting import Templates

__all__ = [
    "Door",
    "Intake",
    "Leaving",
    "Poller",
    "Redirects",
    "Rush",
    "Templates",
    "Webhook",
    "application",
    "audit",
    "body_limit",
    "serve",
]
