"""What clicks takes from the environment."""

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.settings import Settings, check_url


class ClicksSettings(Settings):
    """The settings of clicks."""

    clicks_database_url: Annotated[str, AfterValidator(lambda url: check_url(url, "postgresql"))] = Field(
        description="a URL postgresql://role:password@host:port/database"
    )
