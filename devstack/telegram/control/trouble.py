"""Control requests that make the simulator difficult: faults, flood control, time, and a fresh start."""

from dataclasses import asdict, replace
from typing import Any

from pydantic import Field

from devstack.telegram.cloud import Cloud
from devstack.telegram.control.asking import Asked, Nothing
from devstack.telegram.faults import MEANINGS, CallFault, DeliveryFault
from devstack.telegram.records import Records
from devstack.telegram.world import World


class MakeFault(Asked):
    """A kind of trouble, what it strikes, and how often: `times` null lasts until it is cleared."""

    kind: CallFault | DeliveryFault
    method: str | None = None
    chat_id: int | None = None
    bot_id: int | None = None
    status: int = Field(500, ge=400, le=599)
    seconds: float = Field(1.0, ge=0)
    times: int | None = Field(1, ge=1)
    description: str = ""
    parameters: dict[str, int] | None = None


class ClearFaults(Asked):
    """One fault by its id, or all."""

    id: int | None = None


class SetFlood(Asked):
    """Limits to change; what is not named stays."""

    enabled: bool | None = None
    private_rate: float | None = Field(None, gt=0)
    private_burst: int | None = Field(None, ge=1)
    group_count: int | None = Field(None, ge=1)
    group_seconds: float | None = Field(None, gt=0)
    global_rate: float | None = Field(None, gt=0)
    global_burst: int | None = Field(None, ge=1)
    paid_rate: float | None = Field(None, gt=0)
    hidden_seconds: float | None = Field(None, ge=0)


class Advance(Asked):
    """Seconds by which the simulator's time moves forward at once."""

    advance: float = Field(ge=0)


class Reset(Asked):
    """Whether bots, users and chats go too."""

    world: bool = False


async def make_fault(cloud: Cloud, asked: MakeFault, _: int) -> dict[str, Any]:
    """Put a fault in force."""
    return asdict(cloud.faults.add(**asked.model_dump()))


async def list_faults(cloud: Cloud, _: Nothing, __: int) -> dict[str, Any]:
    """List the faults in force, and what each kind means."""
    return {"faults": [asdict(fault) for fault in cloud.faults.in_force], "kinds": MEANINGS}


async def clear_faults(cloud: Cloud, asked: ClearFaults, __: int) -> dict[str, Any]:
    """End one fault or all."""
    cloud.faults.clear(asked.id)
    return {"faults": [asdict(fault) for fault in cloud.faults.in_force]}


async def set_flood(cloud: Cloud, asked: SetFlood, _: int) -> dict[str, Any]:
    """Change the flood control and forget what it counted; without fields just forget."""
    cloud.flood.change(replace(cloud.flood.rules, **asked.model_dump(exclude_none=True)))
    return asdict(cloud.flood.rules)


async def advance(cloud: Cloud, asked: Advance, _: int) -> dict[str, Any]:
    """Move the simulator's time forward: limits, deadlines, expiries and retries follow."""
    cloud.clock.advance(asked.advance)
    return {"time": cloud.clock.time(), "monotonic": cloud.clock.monotonic()}


async def reset(cloud: Cloud, asked: Reset, _: int) -> dict[str, Any]:
    """Forget records, faults and what flood control counted; on request the world too."""
    cloud.faults.clear()
    cloud.flood.change(cloud.flood.rules)
    cloud.records = Records(cloud.keep)
    if asked.world:
        await cloud.leave()
        cloud.world = World(keep=cloud.keep)
    return {"reset": True}
