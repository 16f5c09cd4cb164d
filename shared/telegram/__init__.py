"""The Bot API: one client for all services, its errors, and the words for why Telegram says no."""

from shared.telegram.answers import Ambiguous, ApiError, NothingHappened, Reason, TelegramError, classify
from shared.telegram.client import TOKEN, BotApi

__all__ = [
    "TOKEN",
    "Ambiguous",
    "ApiError",
    "BotApi",
    "NothingHappened",
    "Reason",
    "TelegramError",
    "classify",
]
