"""Trouble on demand: what goes wrong, at which calls or deliveries, and how often."""

from dataclasses import dataclass
from typing import Literal, get_args

CallFault = Literal[
    "status_before",
    "status_after",
    "reset_before",
    "reset_after",
    "slow",
    "hidden_wait",
    "late_success",
    "html_502",
    "html_502_after",
    "retry_after",
    "revoked",
    "not_found",
    "refuse",
    "migrate",
]
DeliveryFault = Literal["duplicate_delivery", "refuse_webhook", "delay_webhook"]
CALL_FAULTS: tuple[CallFault, ...] = get_args(CallFault)
DELIVERY_FAULTS: tuple[DeliveryFault, ...] = get_args(DeliveryFault)

MEANINGS: dict[CallFault | DeliveryFault, str] = {
    "status_before": "answers `status` (500 by default); nothing happens",
    "status_after": "the effect happens, then `status` is answered",
    "reset_before": "the connection is reset; nothing happens",
    "reset_after": "the effect happens, then the connection is reset",
    "slow": "the effect happens at once, the answer comes after `seconds`",
    "hidden_wait": "the effect and the answer come after `seconds`, as in a flood wait that Telegram hides",
    "late_success": "the effect happens after `seconds`, and the answer never comes",
    "html_502": "answers 502 with an HTML page; nothing happens",
    "html_502_after": "the effect happens, then 502 with an HTML page is answered",
    "retry_after": "answers 429 with retry_after = `seconds`; nothing happens",
    "revoked": "answers 401 Unauthorized",
    "not_found": "answers 404 Not Found, as the public front end does for a wrong token",
    "refuse": "answers `status` with `description` and its `parameters`, word for word; nothing happens",
    "migrate": "the chat (a basic group) becomes a supergroup just before the call",
    "duplicate_delivery": "the receiver's answer to an update is dropped and the update delivered again",
    "refuse_webhook": "the receiver counts as refusing the connection",
    "delay_webhook": "an update is held for `seconds`, while those of other lanes overtake it",
}


@dataclass(slots=True, eq=False)
class Fault:
    """One kind of trouble, for the calls that match; `times` is how often it still strikes, None for ever."""

    id: int
    kind: CallFault | DeliveryFault
    method: str | None = None
    chat_id: int | None = None
    bot_id: int | None = None
    status: int = 500
    seconds: float = 1.0
    times: int | None = 1
    description: str = ""
    parameters: dict[str, int] | None = None
    struck: int = 0


class Faults:
    """The faults in force; of several that match, the oldest strikes."""

    def __init__(self) -> None:
        self.in_force: list[Fault] = []
        self._next_id = 1

    def add(
        self,
        kind: CallFault | DeliveryFault,
        *,
        method: str | None = None,
        chat_id: int | None = None,
        bot_id: int | None = None,
        status: int = 500,
        seconds: float = 1.0,
        times: int | None = 1,
        description: str = "",
        parameters: dict[str, int] | None = None,
    ) -> Fault:
        """Put a fault in force and return it."""
        fault = Fault(
            self._next_id, kind, method, chat_id, bot_id, status, seconds, times, description, parameters
        )
        self._next_id += 1
        self.in_force.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        """End one fault, or all."""
        self.in_force = [each for each in self.in_force if fault_id is not None and each.id != fault_id]

    def for_call(self, method: str, bot_id: int, chat_id: int | None) -> Fault | None:
        """Return the fault that strikes this call, counting it."""
        return self._strike(CALL_FAULTS, method, bot_id, chat_id) if self.in_force else None

    def for_delivery(self, bot_id: int, chat_id: int | None) -> Fault | None:
        """Return the fault that strikes this delivery of an update, counting it."""
        return self._strike(DELIVERY_FAULTS, None, bot_id, chat_id) if self.in_force else None

    def _strike(
        self, kinds: tuple[str, ...], method: str | None, bot_id: int, chat_id: int | None
    ) -> Fault | None:
        for fault in self.in_force:
            if (
                fault.kind in kinds
                and (fault.method is None or method is None or fault.method.lower() == method.lower())
                and fault.chat_id in (None, chat_id)
                and fault.bot_id in (None, bot_id)
            ):
                fault.struck += 1
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.in_force.remove(fault)
                return fault
        return None
