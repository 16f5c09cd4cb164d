"""Every route of the API under /api/v1: each module declares its own, beside what answers it."""

from services.gateway.api import (
    balance,
    broadcasts,
    campaigns,
    clicks,
    dead_letters,
    guides,
    messages,
    promos,
    reads,
    recipients,
    schedules,
    statistics,
    trial,
)
from services.gateway.api.push import ROUTES as PUSH_ROUTES
from services.gateway.api.route import Route

ROUTES: tuple[Route, ...] = (
    *messages.ROUTES,
    *trial.ROUTES,
    *recipients.ROUTES,
    *campaigns.ROUTES,
    *PUSH_ROUTES,
    *clicks.ROUTES,
    *reads.ROUTES,
    *broadcasts.ROUTES,
    *balance.ROUTES,
    *dead_letters.ROUTES,
    *promos.ROUTES,
    *statistics.ROUTES,
    *schedules.ROUTES,
    *guides.ROUTES,
)
