"""People who are forgotten while something of theirs is written down."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

_OF_PEOPLE = {"telegram_user_changes_user_id_fkey", "telegram_user_guide_collections_user_id_fkey"}
"""The foreign keys that lead to a person's row."""


class PersonGone(Exception):
    """The person whose command this is was forgotten meanwhile: nothing of theirs is to be kept."""


@contextmanager
def noticing_who_is_gone() -> Iterator[None]:
    """Raise PersonGone where what is written down is of somebody who is not there any more."""
    try:
        yield
    except IntegrityError as error:
        cause = getattr(error.orig, "__cause__", None)
        if getattr(cause, "constraint_name", None) in _OF_PEOPLE:
            raise PersonGone from None
        raise
