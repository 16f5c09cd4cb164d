"""The Bot API: one client for all services, its errors, and the words for why Telegram says no."""

from shared.telegram.answers import Ambiguous, ApiError, NothingHappened, Reason, TelegramError, classify
from shared.telegram.client import BotApi

__all__ = ["Ambiguous", "ApiError", "BotApi", "NothingHappened", "Reason", "TelegramError", "classify"]
