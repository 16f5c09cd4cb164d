"""Every way in which Telegram says no has one word, and the word does not depend on spelling."""

import pytest

from shared.telegram import ApiError, Reason, classify

TABLE = [
    (403, "Forbidden: bot was blocked by the user", Reason.BLOCKED),
    (403, "Forbidden: user is deactivated", Reason.DEACTIVATED),
    (403, "Forbidden: bot can't initiate conversation with a user", Reason.NOT_STARTED),
    (403, "Forbidden: bot can't send messages to bots", Reason.INVALID),
    (403, "Forbidden: the bot can't send messages to the bot", Reason.INVALID),
    (400, "Bad Request: chat not found", Reason.CHAT_NOT_FOUND),
    (400, "Bad Request: PEER_ID_INVALID", Reason.CHAT_NOT_FOUND),
    (403, "Forbidden: the group chat was deleted", Reason.CHAT_NOT_FOUND),
    (403, "Forbidden: bot was kicked from the group chat", Reason.KICKED),
    (403, "Forbidden: bot was kicked from the supergroup chat", Reason.KICKED),
    (403, "Forbidden: bot was kicked from the channel chat", Reason.KICKED),
    (403, "Forbidden: bot is not a member of the group chat", Reason.NOT_MEMBER),
    (403, "Forbidden: bot is not a member of the channel chat", Reason.NOT_MEMBER),
    (400, "Bad Request: need administrator rights in the channel chat", Reason.NO_RIGHTS),
    (400, "Bad Request: have no write access to the chat", Reason.NO_RIGHTS),
    (400, "Bad Request: not enough rights to send text messages to the chat", Reason.NO_RIGHTS),
    (400, "Bad Request: CHAT_WRITE_FORBIDDEN", Reason.NO_RIGHTS),
    (400, "Bad Request: CHAT_RESTRICTED", Reason.NO_RIGHTS),
    (400, "Bad Request: USER_BANNED_IN_CHANNEL", Reason.NO_RIGHTS),
    (400, "Bad Request: TOPIC_CLOSED", Reason.NO_RIGHTS),
    (403, "Forbidden: something new", Reason.NO_RIGHTS),
    (400, "Bad Request: chat_id is empty", Reason.INVALID),
    (400, "Bad Request: message thread not found", Reason.INVALID),
    (400, "Bad Request: message text is empty", Reason.INVALID),
    (400, "Bad Request: message is too long", Reason.INVALID),
    (
        400,
        "Bad Request: can't parse entities: Can't find end of Bold entity at byte offset 3",
        Reason.INVALID,
    ),
    (400, "Bad Request: BUTTON_DATA_INVALID", Reason.INVALID),
    (400, "Bad Request: message to edit not found", Reason.INVALID),
    (
        400,
        "Bad Request: query is too old and response timeout expired or query ID is invalid",
        Reason.INVALID,
    ),
    (400, "Bad Request: message is not modified: specified new message content…", Reason.NOT_MODIFIED),
    (401, "Unauthorized", Reason.UNAUTHORIZED),
    (401, "Unauthorized: invalid token specified", Reason.UNAUTHORIZED),
    (404, "Not Found", Reason.NOT_FOUND_FRONT_END),
    (404, "Not Found: method not found", Reason.INVALID),
    (421, "Misdirected Request: unallowed token specified", Reason.NOT_FOUND_FRONT_END),
    (302, "", Reason.NOT_FOUND_FRONT_END),
    (409, "Conflict: terminated by other getUpdates request", Reason.INVALID),
    (413, "Request Entity Too Large", Reason.INVALID),
    (429, "Too Many Requests: retry after 7", Reason.THROTTLED),
    (500, "Internal Server Error", Reason.SERVER_ERROR),
    (502, "Bad Gateway", Reason.SERVER_ERROR),
]


@pytest.mark.parametrize("spell", [str, str.upper, str.capitalize], ids=["as is", "upper", "capital"])
@pytest.mark.parametrize(("code", "description", "reason"), TABLE)
def test_a_refusal_has_its_reason_in_any_spelling(
    code: int, description: str, reason: Reason, spell: type[str]
) -> None:
    """Telegram's texts may change their case; the codes and the words in them decide."""
    assert classify(ApiError("sendMessage", code, spell(description))) is reason


def test_a_new_chat_id_means_migrated_whatever_the_text() -> None:
    """The parameter is the fact."""
    assert classify(ApiError("sendMessage", 400, "?", migrate_to_chat_id=-100)) is Reason.MIGRATED
    old = ApiError("sendMessage", 400, "Bad Request: group chat was upgraded to a supergroup chat")
    assert classify(old) is Reason.MIGRATED


def test_words_that_users_write_change_no_reason_of_other_codes() -> None:
    """A flood is a flood, even where the description quotes somebody."""
    assert classify(ApiError("sendMessage", 429, "chat not found")) is Reason.THROTTLED


def test_an_error_is_fit_for_logs() -> None:
    """Its text names method, code and reason, and does not quote Telegram, who may quote the user."""
    error = ApiError("sendMessage", 400, "Bad Request: inline keyboard button URL 'private' is invalid")
    assert str(error) == "sendMessage: 400 invalid"
