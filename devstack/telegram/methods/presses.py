"""The answer to a pressed button."""

from urllib.parse import parse_qs, urlsplit

from devstack.telegram.cloud import Call
from devstack.telegram.records import Answered
from devstack.telegram.refusals import bad_request

LONGEST_ANSWER = 200
LONGEST_CACHE_SECONDS = 30 * 86_400


async def answer_callback_query(call: Call) -> bool:
    """Take the answer to a press within its deadline; a second answer is taken too and changes nothing."""
    arguments, now = call.arguments, call.cloud.moment()
    query_id = arguments.text("callback_query_id")
    text, url = arguments.text("text"), arguments.text("url")
    if len(text) > LONGEST_ANSWER:
        raise bad_request("MESSAGE_TOO_LONG")
    if url and not _opens_bot(url, call.bot.user.username or ""):
        raise bad_request("URL_INVALID")
    deadline = call.bot.presses.get(query_id)
    if deadline is None or now.monotonic > deadline:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    cache_time = arguments.integer("cache_time", low=0, high=LONGEST_CACHE_SECONDS)
    alert = arguments.flag("show_alert")
    call.cloud.records.answers.add(
        Answered(now, call.bot.id, query_id, text, alert, url, cache_time, call.via)
    )
    call.cloud.answered(query_id)
    return True


def _opens_bot(url: str, username: str) -> bool:
    """Return whether the URL is the bot's own deep link, the only one that an answer may open."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    query = parse_qs(parts.query, keep_blank_values=True)
    if parts.scheme == "tg":
        return parts.netloc == "resolve" and query.get("domain", [""])[0].lower() == username.lower()
    named = parts.path.strip("/").lower() == username.lower()
    return parts.hostname in ("t.me", "telegram.me") and named and "start" in query
