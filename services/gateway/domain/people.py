"""The ids of one person: a user of the API may be linked with a Telegram user."""

from uuid import UUID

from shared import ids
from shared.queries import RecipientView


def other_ids(known: RecipientView, user_id: UUID) -> tuple[UUID, ...]:
    """Return under which other ids somebody may have pressed, from what senders shows of one of them."""
    both = {known.user_id}
    if known.telegram_id is not None:
        both.add(ids.user_of_telegram(known.telegram_id))
    return tuple(sorted(both - {user_id}))
