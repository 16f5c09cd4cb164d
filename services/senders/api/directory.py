"""Everything that senders answers about its directory, in one list."""

from dataclasses import dataclass

from services.senders.api import recipients as people
from services.senders.api import suppressions
from services.senders.api.recipients import Announce
from services.senders.store import Recipients
from shared.bus import Answering, answering
from shared.push import PushServices
from shared.queries import (
    AddPushSubscription,
    AddSuppression,
    DeletePushSubscription,
    ForgetRecipient,
    GetRecipient,
    IntroduceRecipients,
    LiftSuppression,
    LinkUser,
    ListPushSubscriptions,
    ListRecipients,
    ListSuppressions,
    PutRecipient,
    TellBounce,
    TellChat,
    UnlinkUser,
    UnsubscribeRecipient,
)


@dataclass(frozen=True)
class Telling:
    """Tells the others what is new of recipients, of the forgotten, and of chats."""

    recipients: Announce
    forgotten: Announce
    chats: Announce


def directory(known: Recipients, tell: Telling, services: PushServices) -> list[Answering]:
    """Return who answers what about people; only known push `services` are taken."""
    changed = tell.recipients
    return [
        answering(GetRecipient, lambda query: people.get_recipient(query, known)),
        answering(ListRecipients, lambda query: people.list_recipients(query, known)),
        answering(PutRecipient, lambda command: people.put_recipient(command, known, changed)),
        answering(IntroduceRecipients, lambda command: people.introduce_recipients(command, known, changed)),
        answering(ForgetRecipient, lambda command: people.forget_recipient(command, known, tell.forgotten)),
        answering(LinkUser, lambda command: people.link_user(command, known, changed)),
        answering(UnlinkUser, lambda command: people.unlink_user(command, known, changed)),
        answering(
            AddPushSubscription,
            lambda command: people.add_push_subscription(command, known, changed, services),
        ),
        answering(ListPushSubscriptions, lambda query: people.list_push_subscriptions(query, known)),
        answering(
            DeletePushSubscription, lambda command: people.delete_push_subscription(command, known, changed)
        ),
        answering(TellChat, lambda command: suppressions.tell_chat(command, known, tell.chats)),
        answering(ListSuppressions, lambda query: suppressions.list_suppressions(query, known)),
        answering(AddSuppression, lambda command: suppressions.add_suppression(command, known)),
        answering(LiftSuppression, lambda command: suppressions.lift_suppression(command, known)),
        answering(TellBounce, lambda command: suppressions.tell_bounce(command, known)),
        answering(UnsubscribeRecipient, lambda command: suppressions.unsubscribe(command, known, changed)),
    ]
