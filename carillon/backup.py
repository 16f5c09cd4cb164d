"""`carillon backup` and `carillon restore`: all streams and all databases, into a folder and out of it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
import typer

from carillon.output import console, fail, print_json, print_table
from carillon.system import SERVICES, JsonOption, StackOption, System
from shared import migrations
from shared.bus import BusUnavailable
from shared.bus.snapshots import NotEmpty
from shared.record import dumping
from shared.topology import STREAMS

FolderArgument = Annotated[Path, typer.Argument(help="The backup's folder; it must not be there yet.")]
KeptArgument = Annotated[Path, typer.Argument(help="The backup's folder.")]
Counts = dict[str, dict[str, int]]


def backup(folder: FolderArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Back up all streams and databases while the system works; the folder holds secrets."""
    if folder.exists():
        fail(f"{folder} is there already")
    folder.mkdir(mode=0o700, parents=True)
    (folder / "streams").mkdir()
    counts = _run(_backup(System.find(stack), folder))
    _report(counts, "Backed up", json=json)


def restore(folder: KeptArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Restore a backup into a system that is prepared and empty, before its services start."""
    if not (folder / "backup.json").exists():
        fail(f"{folder} holds no finished backup")
    counts = _run(_restore(System.find(stack), folder))
    _report(counts, "Restored", json=json)
    if not json:
        console.print("Next: start the services, then run `carillon reconcile` and `carillon audit`.")


async def _backup(system: System, folder: Path) -> Counts:
    counts: Counts = {"streams": {}, "databases": {}}
    async with system.bus() as bus:
        # Streams first: whatever was acknowledged by then is in the databases that follow.
        for stream in STREAMS:
            file = folder / "streams" / f"{stream.name}.snapshot"
            counts["streams"][stream.name] = await bus.snapshots.save(stream.name, file)
    for service in SERVICES:
        rows = await dumping.dump(system.database_url(service), folder / service)
        counts["databases"][service] = rows
    said = {"made_at": datetime.now(UTC), **counts}
    (folder / "backup.json").write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
    return counts


async def _restore(system: System, folder: Path) -> Counts:
    counts: Counts = {"streams": {}, "databases": {}}
    for service in SERVICES:
        url, kept = system.database_url(service), folder / service
        await dumping.empty(url)
        await asyncio.to_thread(migrations.migrate, service, url, dumping.revision_of(kept))
        counts["databases"][service] = await dumping.load(url, kept)
        await asyncio.to_thread(migrations.migrate, service, url)
    async with system.bus() as bus:
        for stream in STREAMS:
            file = folder / "streams" / f"{stream.name}.snapshot"
            if file.exists():
                counts["streams"][stream.name] = await bus.snapshots.restore(stream.name, file)
    return counts


def _run(work: Any) -> Counts:  # the coroutine of one of the two
    try:
        counts: Counts = asyncio.run(work)
    except NotEmpty as problem:
        fail(f"stream {problem} holds events: restore into an empty system", code=1)
    except dumping.HoldsRows as problem:
        fail(f"table {problem} holds rows: restore into an empty system", code=1)
    except BusUnavailable as error:
        fail(f"the broker did not do it: {error}", code=1)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"a database or the folder cannot be used ({type(error).__name__})", code=1)
    return counts


def _report(counts: Counts, word: str, *, json: bool) -> None:
    if json:
        print_json(counts)
        return
    rows = [("stream", name, count) for name, count in counts["streams"].items()]
    rows += [("database", name, count) for name, count in counts["databases"].items()]
    print_table(("", word.lower(), "messages or rows"), rows)
    console.print(f"{word}.")
