"""Runs the service gateway as a process of its own."""

from shared.imports import uncollected

with uncollected():
    from services.gateway.app import app
    from services.gateway.settings import GatewaySettings
    from shared import service

if __name__ == "__main__":
    service.run("gateway", GatewaySettings, app, serves_itself=True)
