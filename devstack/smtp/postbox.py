"""What the inbox remembers: the mails that came, what was counted, whom it knows and whom it refuses."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

from devstack.faults import Faults
from devstack.smtp.faults import SmtpFault


class Rules(BaseModel):
    """How the inbox treats recipients: `greylist` answers 450 to the first attempt at each address."""

    model_config = ConfigDict(extra="forbid")

    greylist: bool = False
    refuse: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mail:
    """A mail that was taken; `arrived` is a Unix time, `moment` a monotonic one, both in seconds."""

    number: int
    arrived: float
    moment: float
    sender: str
    recipients: tuple[str, ...]
    tls: bool
    user: str | None
    raw: bytes = field(repr=False)

    @cached_property
    def message(self) -> EmailMessage:
        """The mail as Python reads it."""
        return message_from_bytes(self.raw, policy=policy.default)

    def part(self, kind: Literal["plain", "html"]) -> str | None:
        """Return the text of the body of that kind; None where there is none that can be read."""
        body = self.message.get_body((kind,))
        if body is None:
            return None
        try:
            return str(body.get_content()).replace("\r\n", "\n")
        except (LookupError, ValueError):
            return None

    def listing(self) -> dict[str, object]:
        """Return what `GET /messages` shows of it."""
        return {
            "number": self.number, "time": self.arrived, "monotonic": self.moment,
            "from": self.sender, "to": list(self.recipients),
            "message_id": self.message["Message-ID"], "subject": self.message["Subject"],
            "headers": [[name, str(value)] for name, value in self.message.items()],
            "text": self.part("plain"), "html": self.part("html"),
            "size": len(self.raw), "tls": self.tls, "user": self.user,
        }  # fmt: skip


class Postbox:
    """The inbox's memory; `reset` takes it back to how it was opened."""

    def __init__(self, rules: Rules) -> None:
        self._opened_with = rules
        self.faults: Faults[SmtpFault] = Faults()
        self.reset()

    def reset(self) -> None:
        """Forget mails, counts, faults and known addresses; take up the first rules again."""
        self.rules = self._opened_with
        self.mails: list[Mail] = []
        self.counters: Counter[str] = Counter(
            dict.fromkeys(
                ("connections", "authenticated", "auth_refused", "greylisted", "refused", "accepted"), 0
            )
        )
        self.faults.clear()
        self.faults.happened = 0
        self._known: set[str] = set()

    def verdict(self, address: str) -> str | None:
        """Return the reply that turns a recipient away, or None for one that is welcome."""
        if address.lower() in map(str.lower, self.rules.refuse):
            self.counters["refused"] += 1
            return "550 5.1.1 no such user here"
        if self.rules.greylist and address.lower() not in self._known:
            self._known.add(address.lower())
            self.counters["greylisted"] += 1
            return "450 4.2.0 greylisted, please try again later"
        return None

    def keep(
        self, sender: str, recipients: Iterable[str], raw: bytes, *, tls: bool, user: str | None
    ) -> None:
        """Take a mail in."""
        self.counters["accepted"] += 1
        number = self.counters["accepted"]
        now, moment = time.time(), time.monotonic()
        self.mails.append(Mail(number, now, moment, sender, tuple(recipients), tls, user, raw))

    def counts(self) -> dict[str, int]:
        """Return the counters; `repeated` counts mails whose Message-ID had come before."""
        named = [mail.message["Message-ID"] for mail in self.mails if "Message-ID" in mail.message]
        return {**self.counters, "repeated": len(named) - len(set(named)), "faults": self.faults.happened}
