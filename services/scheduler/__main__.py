"""Runs the service scheduler as a process of its own."""

from shared.imports import uncollected

with uncollected():
    from services.scheduler.app import app
    from services.scheduler.settings import SchedulerSettings
    from shared import service

if __name__ == "__main__":
    service.run("scheduler", SchedulerSettings, app)
