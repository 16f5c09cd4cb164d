"""What docker-compose.yml and .env.example promise, seen without an engine."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.alive import alive, main
from deploy.keys import fill, make
from deploy.prepare import PrepareSettings
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
EXAMPLE = (ROOT / ".env.example").read_text()
SERVICES = ("scheduler", "clicks", "senders", "gateway")
NOT_FOR_OPERATORS = {"SENDERS_FAILPOINT", "SCHEDULER_FAILPOINT"}

each_service = pytest.mark.parametrize("service", SERVICES)


def settings_of(service: str) -> type[Settings]:
    """Return the settings class of a service."""
    if service == "prepare":
        return PrepareSettings
    found: type[Settings] = getattr(
        importlib.import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings"
    )
    return found


@each_service
def test_a_service_is_looked_after(service: str) -> None:
    """It has a health check, time to stop, nothing to write to, no rights, and starts after preparing."""
    found = COMPOSE["services"][service]
    assert "/healthz" in found["healthcheck"]["test"][-1]
    assert found["stop_grace_period"] == "40s"
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}
    assert found["command"] == ["python", "-m", f"services.{service}"]


def test_nothing_listens_to_strangers() -> None:
    """Ports are on 127.0.0.1, and only the gateway and the simulators have any."""
    ports = {name: found["ports"] for name, found in COMPOSE["services"].items() if "ports" in found}
    assert set(ports) == {"gateway", "simulators"}
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)


def test_simulators_are_asked_for() -> None:
    """They run with the profile only."""
    assert COMPOSE["services"]["simulators"]["profiles"] == ["sim"]


def test_no_secret_is_written_down() -> None:
    """Passwords, tokens and keys come from .env, which is made; neither file holds one."""
    for found in COMPOSE["services"].values():
        for name, value in found.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|SECRET|KEY", name):
                assert value is None or value.startswith("${"), name
            elif name.endswith("DATABASE_URL"):
                assert re.fullmatch(r"postgresql://\w+:\$\{\w+:\?[^}]+\}@.+", value), name
    for name in make():
        assert re.search(f"^{name}=$", EXAMPLE, re.MULTILINE), name


@pytest.mark.parametrize("service", [*SERVICES, "prepare"])
def test_every_setting_reaches_its_service(service: str) -> None:
    """What may be set is passed on from .env, and nothing that the service does not know."""
    known = {name.upper() for name in settings_of(service).model_fields} - NOT_FOR_OPERATORS
    passed = {name for name in COMPOSE["services"][service]["environment"] if not name.startswith("OTEL_")}
    assert passed == known


def test_what_is_made_up_completes_the_example() -> None:
    """`make env` leaves nothing empty, and no two installations alike."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.keys"], input=EXAMPLE, capture_output=True, text=True, check=True
    )
    assert not re.search(r"^\w+=$", done.stdout, re.MULTILINE)
    assert done.stdout != fill(EXAMPLE, make())
    assert re.sub(r"^(\w+)=.*$", r"\1", done.stdout, flags=re.MULTILINE) == re.sub(
        r"^(\w+)=.*$", r"\1", EXAMPLE, flags=re.MULTILINE
    )


def test_whoever_does_not_answer_is_not_alive() -> None:
    """A health check fails for a closed port, and for a wrong call."""
    assert not alive("http://127.0.0.1:9/healthz")
    assert main(["http://127.0.0.1:9/healthz"]) == 1
    assert main([]) == 2
