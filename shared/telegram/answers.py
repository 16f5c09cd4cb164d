"""What can come of a call to the Bot API: its result, or one of three errors."""

from enum import StrEnum


class TelegramError(Exception):
    """A call that gave no result; its text is fit for logs: no token, no address, nothing a user wrote."""


class ApiError(TelegramError):
    """Telegram's answer is no: the call had no effect, except perhaps with a code of 500 and above.

    `description` is Telegram's text, which may quote what was sent. `retry_after` is in seconds.
    """

    def __init__(
        self,
        method: str,
        code: int,
        description: str = "",
        *,
        retry_after: int | None = None,
        migrate_to_chat_id: int | None = None,
    ) -> None:
        self.method, self.code, self.description = method, code, description
        self.retry_after, self.migrate_to_chat_id = retry_after, migrate_to_chat_id
        super().__init__(f"{method}: {code} {classify(self)}")


class NothingHappened(TelegramError):
    """The call never got onto a connection (name, connection, TLS): it can be repeated. `why` is one word."""

    def __init__(self, method: str, why: str) -> None:
        self.method, self.why = method, why
        super().__init__(f"{method}: nothing was sent ({why})")


class Ambiguous(TelegramError):
    """The call was sent and its answer did not come, or makes no sense: it may have had its effect."""

    def __init__(self, method: str, why: str) -> None:
        self.method, self.why = method, why
        super().__init__(f"{method}: sent, with unknown effect ({why})")


class Reason(StrEnum):
    """Why Telegram said no, in words that metrics and tables can count."""

    BLOCKED = "blocked"
    DEACTIVATED = "deactivated"
    NOT_STARTED = "not_started"
    CHAT_NOT_FOUND = "chat_not_found"
    KICKED = "kicked"
    NOT_MEMBER = "not_member"
    NO_RIGHTS = "no_rights"
    MIGRATED = "migrated"
    NOT_MODIFIED = "not_modified"
    INVALID = "invalid"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND_FRONT_END = "not_found_front_end"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"


_BY_WORDS = (
    ("blocked by the user", Reason.BLOCKED),
    ("user is deactivated", Reason.DEACTIVATED),
    ("can't initiate conversation", Reason.NOT_STARTED),
    ("chat not found", Reason.CHAT_NOT_FOUND),
    ("peer_id_invalid", Reason.CHAT_NOT_FOUND),
    ("chat was deleted", Reason.CHAT_NOT_FOUND),
    ("was kicked", Reason.KICKED),
    ("not a member", Reason.NOT_MEMBER),
    ("need administrator rights", Reason.NO_RIGHTS),
    ("not enough rights", Reason.NO_RIGHTS),
    ("no write access", Reason.NO_RIGHTS),
    ("chat_write_forbidden", Reason.NO_RIGHTS),
    ("chat_restricted", Reason.NO_RIGHTS),
    ("user_banned_in_channel", Reason.NO_RIGHTS),
    ("topic_closed", Reason.NO_RIGHTS),
    ("upgraded to a supergroup", Reason.MIGRATED),
    ("message is not modified", Reason.NOT_MODIFIED),
    ("can't send messages to", Reason.INVALID),
)
_BY_CODE = {
    401: Reason.UNAUTHORIZED,
    403: Reason.NO_RIGHTS,
    404: Reason.NOT_FOUND_FRONT_END,
    421: Reason.NOT_FOUND_FRONT_END,
    429: Reason.THROTTLED,
}


def classify(error: ApiError) -> Reason:
    """Say in one word why Telegram said no; texts are matched in part and in any case, as they change."""
    said = error.description.casefold()
    if error.migrate_to_chat_id is not None:
        return Reason.MIGRATED
    if error.code in {400, 403}:
        for words, reason in _BY_WORDS:
            if words in said:
                return reason
    if "method not found" in said:
        return Reason.INVALID
    if error.code >= 500:
        return Reason.SERVER_ERROR
    # A redirect comes from something in front of Telegram, or instead of it.
    return Reason.NOT_FOUND_FRONT_END if error.code < 400 else _BY_CODE.get(error.code, Reason.INVALID)
