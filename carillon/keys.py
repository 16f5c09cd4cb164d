"""`carillon keys`: create, list and revoke the API's bearer keys, and make a push key pair."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from carillon.output import console, fail, print_json, print_table
from carillon.system import JsonOption, StackOption, System
from deploy.keys import vapid_keys
from services.gateway.domain.keys import ENTROPY_BYTES
from services.gateway.domain.roles import KeyRole
from services.gateway.store.keys import ApiKey, Keys, UnknownKey
from shared.database import Database, is_unavailable

app = typer.Typer(help="Bearer keys of the HTTP API, and keys for push.", no_args_is_help=True)

T = TypeVar("T")
ROLES = tuple(role.word for role in KeyRole)

NameArgument = Annotated[str, typer.Argument(help="What the key is for.")]
RoleOption = Annotated[str, typer.Option("--role", help=f"One of: {', '.join(ROLES)}.")]
KeyArgument = Annotated[UUID, typer.Argument(help="The key's id, from `keys list`.")]


@app.command()
def create(
    name: NameArgument, role: RoleOption = "service", stack: StackOption = None, json: JsonOption = False
) -> None:
    """Create a key. It is shown once and cannot be asked again."""
    if role not in ROLES:
        fail(f"--role is '{role}'; expected one of: {', '.join(ROLES)}")
    made, key = _with_keys(
        stack, lambda keys: keys.create_key(secrets.token_bytes(ENTROPY_BYTES), name, KeyRole.of(role))
    )
    if json:
        print_json({**_view(made), "key": key})
        return
    console.print(f"{key}", markup=False)
    console.print(f"[dim]role {role}, id {made.id}; it is not shown again[/dim]")


@app.command("list")
def list_(stack: StackOption = None, json: JsonOption = False) -> None:
    """List the keys there are and were; never the keys themselves."""
    found = _with_keys(stack, lambda keys: keys.list_keys())
    if json:
        print_json([_view(key) for key in found])
        return
    rows = [tuple(_view(key).values()) for key in found]
    print_table(("id", "name", "role", "created", "last used", "revoked"), rows)


@app.command()
def revoke(key: KeyArgument, stack: StackOption = None, json: JsonOption = False) -> None:
    """Revoke a key: the next request with it is refused."""
    try:
        revoked = _with_keys(stack, lambda keys: keys.revoke_key(key))
    except UnknownKey:
        fail(f"there is no key {key}", code=1)
    if json:
        print_json(_view(revoked))
        return
    console.print(f"Revoked {revoked.name} ({revoked.role.word}).", markup=False)


@app.command()
def vapid(json: JsonOption = False) -> None:
    """Make a key pair for push (VAPID), as settings; nothing is stored."""
    pair = dict(zip(("PUSH_VAPID_PRIVATE_KEY", "PUSH_VAPID_PUBLIC_KEY"), vapid_keys(), strict=True))
    if json:
        print_json(pair)
        return
    for name, value in pair.items():
        print(f"{name}={value}")


async def ensure_keys(database_url: str, kept: Mapping[str, str]) -> dict[str, str]:
    """Return an owner's and a service's key that the database knows, making those that it does not."""
    async with Database.open(database_url, pool_size=1) as database:
        keys = Keys(database)
        found = {}
        for role in ("owner", "service"):
            if role in kept and await keys.use_key(kept[role]):
                found[role] = kept[role]
                continue
            entropy = secrets.token_bytes(ENTROPY_BYTES)
            _, found[role] = await keys.create_key(entropy, f"local {role}", KeyRole.of(role))
        return found


def _with_keys(stack: Any, act: Callable[[Keys], Awaitable[T]]) -> T:  # the option's value
    url = System.find(stack).database_url("gateway")

    async def run() -> T:
        async with Database.open(url, pool_size=1) as database:
            return await act(Keys(database))

    try:
        return asyncio.run(run())
    except Exception as error:
        if is_unavailable(error):
            fail("the gateway's database cannot be reached", code=1)
        raise


def _view(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id, "name": key.name, "role": key.role.word, "created_at": key.created_at,
        "last_used_at": key.last_used_at, "revoked_at": key.revoked_at,
    }  # fmt: skip
