"""What senders answers about chats: it alone has the tokens that Telegram must be asked with."""

from services.senders.channels import Channel
from services.senders.channels.telegram import TelegramChannel
from shared.bus import Refusal
from shared.queries import ChatView, ResolveChat
from shared.telegram import ApiError, Reason, TelegramError, classify


async def resolve_chat(query: ResolveChat, telegram: Channel | None, default_bot: str | None) -> ChatView:
    """Ask Telegram which chat has a name; refuses in Telegram's own words."""
    bot = query.bot or default_bot
    if not isinstance(telegram, TelegramChannel) or bot is None:
        raise Refusal(503, "No bot", "senders has no bot that could ask Telegram")
    try:
        chat = await telegram.chat(bot, query.chat)
    except KeyError:
        raise Refusal(422, "Unknown bot", "senders has no bot of that name") from None
    except ApiError as error:
        if classify(error) in (Reason.THROTTLED, Reason.SERVER_ERROR, Reason.UNAUTHORIZED):
            raise Refusal(503, "Telegram cannot tell", f"{query.chat}: {error.description}") from None
        raise Refusal(404, "Unknown chat", f"{query.chat}: {error.description}") from None
    except TelegramError:
        raise Refusal(503, "Telegram cannot tell", f"{query.chat}: Telegram did not answer") from None
    return ChatView(
        chat_id=chat["id"], type=chat["type"], title=chat.get("title"), username=chat.get("username")
    )
