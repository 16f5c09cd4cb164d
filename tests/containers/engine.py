"""A Docker engine and its compose command, as the tests of the containers use them."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.keys import fill, make
from devstack.servers import free_port
from tests.journeys.conftest import SHORT, WORLD
from tests.servers import NO_AUTHORITIES

ROOT = Path(__file__).parents[2]
BUILD_SECONDS, UP_SECONDS, COMMAND_SECONDS = 600, 180, 90
VERSION = "compose-test"
QUICK = {**SHORT, "EMAIL_PER_MINUTE": "6000"}
"""Short waits, and a limit that a test does not meet."""


def answers() -> bool:
    """Say whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0


def compose_command() -> list[str]:
    """Return `docker compose`, or `docker-compose` where that is what there is."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


def docker(*arguments: str, seconds: float = COMMAND_SECONDS) -> str:
    """Run a docker command and return what it says; raises AssertionError with its complaint."""
    return _run(["docker", *arguments], os.environ, seconds)


@dataclass(frozen=True)
class Composed:
    """Carillon in containers, with a project name, settings and ports of its own."""

    project: str
    env_file: Path
    settings: Mapping[str, str]

    @classmethod
    def make(cls, folder: Path) -> "Composed":
        """Write the settings that `make env` would write, with short waits and free ports."""
        ports = {
            name: str(free_port())
            for name in (
                "GATEWAY_PORT", "SIMULATED_TELEGRAM_PORT", "SIMULATED_MAIL_PORT", "SIMULATED_PUSH_PORT",
            )
        }  # fmt: skip
        made = make()
        more = {**ports, **QUICK, "CARILLON_VERSION": VERSION}
        text = fill((ROOT / ".env.example").read_text(), made)
        text += "".join(f"{name}={value}\n" for name, value in more.items())
        file = folder / "compose.env"
        file.touch(0o600)
        file.write_text(text)
        return cls(f"carillon-test-{os.getpid()}", file, {**made, **more})

    def compose(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run a compose command with the simulators and return what it says."""
        clean = {name: value for name, value in os.environ.items() if not any(word in name for word in WORLD)}
        command = [
            *compose_command(), "--project-name", self.project, "--file", str(ROOT / "docker-compose.yml"),
            "--env-file", str(self.env_file), "--profile", "sim", *arguments,
        ]  # fmt: skip
        return _run(command, clean, seconds)

    def up(self) -> None:
        """Start everything, and wait until every container is healthy."""
        self.compose("up", "-d", "--no-build", seconds=UP_SECONDS)
        # Compose waits for what something else needs, and nothing needs these.
        until = time.monotonic() + UP_SECONDS
        for service in ("scheduler", "clicks", "senders", "gateway"):
            while (health := self.health(service)) != "healthy":
                assert time.monotonic() < until, f"{service} is {health}"
                time.sleep(0.2)

    def carillon(self, *arguments: str) -> Any:
        """Run the command line in a container of its own, and return the JSON that it prints."""
        return json.loads(self.compose("run", "--rm", "-T", "carillon", *arguments, "--json"))

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        return self.compose("ps", "-q", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows about a service's container."""
        found: dict[str, Any] = json.loads(docker("inspect", self.container(service)))[0]
        return found

    def health(self, service: str) -> str:
        """Return healthy, unhealthy or starting; what does not run is down."""
        state = self.inspect(service)["State"]
        health: str = state["Health"]["Status"] if state["Status"] == "running" else "down"
        return health

    def signal(self, service: str, number: int) -> None:
        """Send a signal to a service's process from outside of its container, as the kernel does.

        The engine takes it for a crash. After `docker kill` it would not start the container again.
        """
        pid = self.inspect(service)["State"]["Pid"]
        docker(
            "run", "--rm", "--pid", "host", "--network", "none", "--user", "0", f"carillon:{VERSION}",
            "python", "-c", f"import os; os.kill({pid}, {number})",
        )  # fmt: skip

    def ask(self, service: str, question: str) -> str:
        """Ask a service's database for one value."""
        return self.compose(
            "exec", "-T", "postgres", "psql", "-U", "postgres", "-d", f"carillon_{service}", "-Atc", question
        ).strip()


def _run(command: list[str], environment: Mapping[str, str], seconds: float) -> str:
    # Docker fetches images from servers whom this machine trusts.
    environment = dict(environment.items() - NO_AUTHORITIES.items())
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, env=environment, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout
