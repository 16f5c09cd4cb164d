"""The demo's numbers: read from the simulators' counters, the streams and the tables."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import asyncpg

from carillon.audit import audit
from carillon.system import System
from carillon.up.outside import get
from shared.bus import Bus

EXPECTED = {
    "promos_posted": 2,
    "promos_failed": 1,
    "clicks": 2,
    "fallbacks": 1,
    "dead_letters_before": 1,
    "dead_letters_after": 0,
    "lost": 0,
    "duplicated": 0,
    "audit": "balanced",
}


@dataclass
class Numbers:
    """What came of it; `wrong` names what is not as it must be."""

    promos_posted: int = 0
    promos_failed: int = 0
    clicks: int = 0
    fallbacks: int = 0
    dead_letters_before: int = 0
    dead_letters_after: int = 0
    lost: int = 0
    duplicated: int = 0
    ambiguous: int = 0
    campaign_intended: int = 0
    campaign_seen: int = 0
    audit: str = "not balanced"
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Say whether every number is as it must be."""
        return not self.wrong

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON would say them."""
        return asdict(self)

    def judge(self) -> None:
        """Compare with what must be.

        A kill in mid-campaign may leave sends in doubt: each is counted, none is sent again, so what the
        recipients saw lies between what is known to be sent and that plus what is in doubt.
        """
        self.wrong = [name for name, value in EXPECTED.items() if getattr(self, name) != value]
        if not self.campaign_intended - self.ambiguous <= self.campaign_seen <= self.campaign_intended:
            self.wrong.append("campaign_seen")


async def count(numbers: Numbers, system: System, bus: Bus, campaign_text: str) -> None:
    """Fill in what is read at the end."""
    await _count_outside(numbers, system, campaign_text)
    done = await audit(system, bus, wait_seconds=20)
    numbers.audit = "balanced" if done.balanced else "not balanced"
    numbers.lost = len(done.lost)
    numbers.dead_letters_after = done.dead_letters
    clicks = await asyncpg.connect(system.database_url("clicks"))
    numbers.clicks = await clicks.fetchval("SELECT count(*) FROM marketing_clicks")
    await clicks.close()
    senders = await asyncpg.connect(system.database_url("senders"))
    numbers.ambiguous = await senders.fetchval("SELECT count(*) FROM deliveries WHERE state = 'ambiguous'")
    numbers.fallbacks = await senders.fetchval("""
        SELECT count(*) FROM deliveries d WHERE d.state = 'sent' AND d.position > 0""")
    numbers.promos_failed = await senders.fetchval("""
        SELECT count(*) FROM deliveries d JOIN messages m ON m.id = d.message_id
        WHERE m.lane = 'promo' AND d.state = 'failed'""")
    await senders.close()
    numbers.judge()


async def _count_outside(numbers: Numbers, system: System, campaign_text: str) -> None:
    """Count at the simulated Telegram what people saw."""
    sent = (await get(str(system.telegram_control_url), "/sent"))["sent"]
    chats = set(system.chat_ids)
    numbers.promos_posted = sum(each["chat_id"] in chats and bool(each.get("reply_markup")) for each in sent)
    seen = Counter(each["chat_id"] for each in sent if each["text"] == campaign_text)
    numbers.campaign_seen = len(seen)
    numbers.duplicated = sum(times - 1 for times in seen.values())
