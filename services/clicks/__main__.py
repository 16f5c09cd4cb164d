"""Runs the service clicks as a process of its own."""

from shared.imports import uncollected

with uncollected():
    from services.clicks.app import app
    from services.clicks.settings import ClicksSettings
    from shared import service

if __name__ == "__main__":
    service.run("clicks", ClicksSettings, app)
