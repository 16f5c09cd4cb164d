"""What clicks decides: where the hours and days of a time zone begin."""

from services.clicks.domain.series import MOST_POINTS, TooMany, starts

__all__ = ["MOST_POINTS", "TooMany", "starts"]
