"""Runs the service senders as a process of its own."""

from shared.imports import uncollected

with uncollected():
    from services.senders.app import app
    from services.senders.settings import SendersSettings
    from shared import service

if __name__ == "__main__":
    service.run("senders", SendersSettings, app)
