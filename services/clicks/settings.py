"""What clicks takes from the environment."""

from shared.settings import Settings


class ClicksSettings(Settings):
    """The settings of clicks."""

    clicks_database_url: str
    """`CLICKS_DATABASE_URL`: a PostgreSQL database with a role that owns its tables."""
