"""Changes of state that a stream has lost are told again from the rows that know them."""

from collections.abc import Sequence
from uuid import uuid4

import pytest
from nats.aio.client import Client

from services.scheduler.clock import Clock
from services.scheduler.domain.schedule import DEFAULT_SCHEDULE
from services.scheduler.store import Schedules, Slots
from services.scheduler.store.copies import COPIES as OF_SCHEDULER
from services.senders.handlers import Announcer
from services.senders.handlers.retelling import COPIES as OF_SENDERS
from services.senders.store import Campaigns, Ledger, Recipients
from shared.bus import Bus
from shared.database import Database
from shared.events import Body, CampaignChanged, ChatChanged, Event, PromoCancelled, RecipientChanged
from shared.ids import user_of_telegram
from shared.queries import CreateCampaign, PutRecipient, TellChat
from shared.record.reconciling import Copies, Reconciled, reconcile
from tests.conftest import FreshDatabase
from tests.scheduler.conftest import START, TEXTS, WANTED
from tests.servers import AnyNats
from tests.shared.record.conftest import NOW

KINDS = (CampaignChanged, RecipientChanged, ChatChanged)


class Stream:
    """A stream as the broker keeps it: what lies under a subject, and how to lose it."""

    def __init__(self, bus: Bus, url: str, name: str) -> None:
        self._bus = bus
        self._url = url
        self._name = name

    async def events(self, kind: type[Event]) -> list[Event]:
        """Return what lies under the subject of a kind."""
        cut = await self._bus.streams.cut()
        read = self._bus.streams.read(self._name, kind.pattern, up_to=cut[self._name])
        return [kind.model_validate_json(stored.payload) async for stored in read]

    async def lose(self) -> None:
        """Lose everything, as a broken disk does."""
        client = Client()
        await client.connect(self._url)
        await client.jetstream().purge_stream(self._name)
        await client.close()


async def mend(
    service: str, database: Database, bus: Bus, copies: Sequence[Copies]
) -> tuple[list[Reconciled], list[Reconciled]]:
    """Say what would be told again, then tell it; return both, of the subjects that miss something."""
    done = [await reconcile(service, database, bus, copies, dry_run=dry_run) for dry_run in (True, False)]
    dry, told = ([each for each in found if each.missing] for found in done)
    return dry, told


@pytest.mark.parametrize("kind", KINDS)
async def test_senders_tells_changes_again(
    bus: Bus, prepared_nats: AnyNats, fresh_database: FreshDatabase, kind: type[Event]
) -> None:
    """A campaign's, a recipient's and a chat's newest state come back as they were told, once."""
    user_id, campaign_id = user_of_telegram(4711), uuid4()
    async with Database.open(await fresh_database("senders")) as database:
        recipients, campaigns = Recipients(database), Campaigns(database, "default")
        announcer = Announcer(bus.publish, Ledger(database, lease_seconds=60), recipients, campaigns)
        await recipients.put(PutRecipient(cause=uuid4(), user_id=user_id, language="es", opted_out=True))
        await recipients.tell_chat(
            TellChat(cause=uuid4(), bot="default", chat_id=-100, change="kicked", at=NOW, order=3)
        )
        await recipients.migrate("default", -5, -1005)
        await campaigns.add(CreateCampaign(campaign_id=campaign_id, body=Body(text="Hello"), draft=True))
        await announcer.recipients()
        await announcer.chats()
        await announcer.migrations()
        await announcer.campaigns()
        stream = Stream(bus, prepared_nats.url, "OUTCOMES" if kind is CampaignChanged else "RECIPIENTS")
        before = await stream.events(kind)
        await stream.lose()

        dry, told = await mend("senders", database, bus, OF_SENDERS)
        after = await stream.events(kind)
        again, _ = await mend("senders", database, bus, OF_SENDERS)

    assert kind.pattern in [subject for each in dry for subject in each.subjects]
    assert [(each.missing, each.told) for each in told] == [(each.missing, each.missing) for each in dry]
    assert again == []
    assert len(before) == (2 if kind is ChatChanged else 1)
    # A campaign's sums, and a chat's move, are of the moment in which they are told.
    assert [_but_at(event) for event in after] == [_but_at(event) for event in before]


async def test_scheduler_tells_cancellations_again(
    bus: Bus, prepared_nats: AnyNats, fresh_database: FreshDatabase
) -> None:
    """What was cancelled stays cancelled for whoever reads the stream anew."""
    async with Database.open(await fresh_database("scheduler")) as database:
        schedules = Schedules(database)
        await schedules.settle_default(WANTED, TEXTS, START)
        clock = Clock(Slots(database), bus.publish, lambda: START)
        await clock.tick()
        await schedules.stop(DEFAULT_SCHEDULE, uuid4(), START)
        await clock.tick()
        stream = Stream(bus, prepared_nats.url, "PROMOS")
        before = await stream.events(PromoCancelled)
        await stream.lose()

        dry, told = await mend("scheduler", database, bus, OF_SCHEDULER)
        after = await stream.events(PromoCancelled)

    counts = [(each.subjects[0], each.missing, each.told) for each in told]
    assert counts == [("promos.due", 2, 2), ("promos.cancelled", 1, 1)]
    assert [(each.missing, each.told) for each in dry] == [(2, 2), (1, 1)]
    assert len(before) == 1
    assert after == before


def _but_at(event: Event) -> Event:
    return event.model_copy(update={"at": NOW})
