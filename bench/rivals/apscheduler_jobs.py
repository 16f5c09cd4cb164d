"""The same schedules as jobs of APScheduler: each publishes to a stream when it is due.

Jobs are kept in memory, as is APScheduler's default: a restart forgets them. Reads one `Jobs` as JSON.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

import nats
import uvloop
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from pydantic import BaseModel


class Jobs(BaseModel):
    """When the jobs are due for the first time, and the subject that they publish to."""

    nats_url: str
    subject: str
    slots: list[datetime]


async def run(jobs: Jobs) -> None:
    """Run every job once."""
    client = await nats.connect(jobs.nats_url)
    stream = client.jetstream(timeout=60)
    left, done = len(jobs.slots), asyncio.Event()

    async def post(slot: datetime, number: int) -> None:
        nonlocal left
        await stream.publish(jobs.subject, json.dumps({"slot": slot.isoformat(), "n": number}).encode())
        left -= 1
        if not left:
            done.set()

    # By default what is more than a second late is dropped.
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    for number, slot in enumerate(jobs.slots):
        # With its first time said: an interval whose beginning has passed would wait for the next day.
        trigger = IntervalTrigger(days=1, start_date=slot)
        scheduler.add_job(post, trigger, [slot, number], next_run_time=slot)
    scheduler.start()
    await done.wait()
    scheduler.shutdown(wait=False)
    await client.close()


def main() -> None:
    """Read the jobs and run them."""
    uvloop.run(run(Jobs.model_validate_json(sys.stdin.buffer.read())))


if __name__ == "__main__":
    main()
