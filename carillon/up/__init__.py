"""`carillon up`: the whole system on this machine, working at once without any token."""

import asyncio
import signal
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carillon.output import console, fail, need_checkout, print_json
from carillon.system import DEFAULT_FOLDER, SERVICES, JsonOption

if TYPE_CHECKING:
    from carillon.up.running import Options, Stack

FIRST_POST_SECONDS = 30.0

FolderOption = Annotated[Path, typer.Option("--folder", help="Where data, keys and logs are kept.")]
EphemeralOption = Annotated[
    bool, typer.Option("--ephemeral", help="Use a temporary folder, removed at the end.")
]
ReadyFileOption = Annotated[
    Path | None, typer.Option("--ready-file", help="Write addresses, keys and process ids here once ready.")
]
ReplicasOption = Annotated[
    list[str] | None,
    typer.Option("--replicas", help="Processes of a service, such as senders=3; repeatable."),
]
PortOption = Annotated[
    int, typer.Option("--port", help="The gateway's port; 0 lets the system choose.", min=0)
]


def command(
    folder: FolderOption = DEFAULT_FOLDER,
    ephemeral: EphemeralOption = False,
    ready_file: ReadyFileOption = None,
    replicas: ReplicasOption = None,
    port: PortOption = 0,
    json: JsonOption = False,
) -> None:
    """Run the whole system: embedded NATS and PostgreSQL, simulators, four services. Ctrl-C stops it.

    NATS_URL, DATABASE_URL, TELEGRAM_API_URL (with TELEGRAM_BOT_TOKEN) and SMTP_HOST/SMTP_PORT, when set,
    replace the embedded part.
    """
    need_checkout()
    from carillon.up.running import Options

    counts = _counts(replicas or [])
    with ExitStack() as stack:
        if ephemeral:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carillon-")))
        options = Options(folder.absolute(), ephemeral=ephemeral, replicas=counts, port=port)
        asyncio.run(_run(options, ready_file, json=json))


async def _run(options: "Options", ready_file: Path | None, *, json: bool) -> None:
    from carillon.up.processes import NotReady
    from carillon.up.running import running
    from deploy.prepare import NotPrepared
    from devstack.servers import NotStarted

    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)

    def say(line: str) -> None:
        if not json:
            console.print(f"[dim]·[/dim] {line}")

    try:
        async with running(options, say) as stack:
            say("waiting for the first promo")
            posts = await _first_posts(stack)
            if ready_file:
                stack.files.append(ready_file)
                stack.write()
            print_json(stack.system.model_dump()) if json else _welcome(stack, posts)
            await stop.wait()
    except (NotStarted, NotReady, NotPrepared) as problem:
        fail(str(problem), code=1)
    if not json:
        console.print(
            "[dim]·[/dim] stopped; the data stay in their folder" if not options.ephemeral else "stopped"
        )


async def _first_posts(stack: "Stack") -> int | None:
    """Wait for posts in the simulated chats; None where Telegram is not simulated."""
    from carillon.up.outside import get

    url = stack.outside.telegram_control_url
    if url is None or not stack.system.chat_ids:
        return None
    chats, posted = set(stack.system.chat_ids), set[int]()
    deadline = asyncio.get_running_loop().time() + FIRST_POST_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        sent: list[dict[str, Any]] = (await get(url, "/sent"))["sent"]
        posted = {each["chat_id"] for each in sent} & chats
        if posted == chats:
            return len(posted)
        if await _posted_before(stack):
            return 0
        await asyncio.sleep(0.2)
    return len(posted)


async def _posted_before(stack: "Stack") -> bool:
    """Say whether the schedule is running since an earlier start: then its next slot is later."""
    import aiohttp

    headers = {"Authorization": f"Bearer {stack.system.owner_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{stack.gateway_url}/api/v1/schedules") as answer,
    ):
        if answer.status != 200:
            return False
        schedules = (await answer.json())["items"]
    started = stack.started_at.isoformat()
    return any(each["last_run"] and each["last_run"] < started for each in schedules)


def _welcome(stack: "Stack", posts: int | None) -> None:
    system = stack.system
    lines = [
        ("gateway", f"{system.gateway_url}/api/v1/status"),
        ("owner key", system.owner_key),
        (
            "Telegram",
            f"{system.telegram_control_url}/" if system.telegram_control_url else system.telegram_api_url,
        ),
        ("mailbox", f"{system.smtp_control_url}/inbox" if system.smtp_control_url else None),
        ("push", f"{system.push_control_url}/messages" if system.push_control_url else None),
        ("NATS", system.nats_url),
        ("logs", str(stack.options.folder / "logs")),
    ]
    console.print("\n[bold]Carillon runs.[/bold]", end=" ")
    if posts:
        console.print(f"The first promo is in {posts} chat{'s' if posts > 1 else ''}.")
    elif posts == 0:
        console.print("Its schedule goes on where it was; the next slot is in /api/v1/status.")
    else:
        console.print("Telegram is yours; register the webhook there.")
    for name, value in lines:
        if value:
            console.print(f"  {name:<10} {value}", markup=False, soft_wrap=True)
    if system.telegram_control_url:
        console.print("\nLook at the chats, and press a button, at the Telegram address.")
    console.print(
        "Try: [bold].venv/bin/carillon dlq list[/bold], [bold].venv/bin/carillon audit[/bold]. Ctrl-C stops."
    )


def _counts(replicas: Sequence[str]) -> dict[str, int]:
    counts = {}
    for each in replicas:
        name, _, number = each.partition("=")
        if name not in SERVICES or not number.isdecimal() or not 1 <= int(number) <= 16:
            fail(f"--replicas is '{each}'; expected a service and a number, such as senders=3")
        counts[name] = int(number)
    return counts
