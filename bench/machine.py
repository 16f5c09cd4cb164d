"""The machine that figures were taken on, and the memory of its processes."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

MIB = 1024 * 1024
LIBRARIES = ("aiohttp", "uvloop", "nats-py", "asyncpg", "sqlalchemy", "aiogram", "python-telegram-bot")


def facts(now: datetime) -> str:
    """Return what the figures depend on, in a sentence."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"Taken on {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} x "
        f"{model[1] if model else platform.machine()}, {memory:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}; {libraries}."
    )


def load() -> float:
    """Return how many processes wanted a core over the last minute: above the cores, figures are noise."""
    return os.getloadavg()[0]


def memory(pid: int) -> tuple[float, float]:
    """Return RSS and PSS of a process, in MB of 1,048,576 bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {
        name: int(size) * 1024 / MIB for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    }
    return found["Rss"], found["Pss"]


def image_megabytes(image: str) -> float | None:
    """Return the size of an image in MB of 1,048,576 bytes; None where no engine has it."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    asked = subprocess.run(
        [docker, "image", "inspect", "--format", "{{.Size}}", image],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    return int(asked.stdout) / MIB if asked.returncode == 0 else None


def processor_seconds(pid: int) -> float:
    """Return how long a process has computed, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> float:
    """Return how long a process and its children have computed, those that have ended included."""
    seconds = 0.0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(folder.name) == pid:
                seconds += sum(int(ticks) for ticks in fields[11:15])
            elif int(fields[1]) == pid:
                seconds += sum(int(ticks) for ticks in fields[11:13])
    return seconds / os.sysconf("SC_CLK_TCK")
