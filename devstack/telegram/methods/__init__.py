"""The Bot API's methods by their names in lower case, and how one is performed."""

from collections.abc import Awaitable, Callable
from typing import Any

from devstack.telegram.cloud import Call
from devstack.telegram.methods import account, chats, commands, editing, presses, receiving, sending

Method = Callable[[Call], Awaitable[Any]]

METHODS: dict[str, tuple[str, Method]] = {
    name.lower(): (name, method)
    for name, method in (
        ("getMe", account.get_me),
        ("logOut", account.log_out),
        ("close", account.close),
        ("sendMessage", sending.send_message),
        ("copyMessage", sending.copy_message),
        ("forwardMessage", sending.forward_message),
        ("editMessageText", editing.edit_message_text),
        ("editMessageReplyMarkup", editing.edit_message_reply_markup),
        ("deleteMessage", editing.delete_message),
        ("answerCallbackQuery", presses.answer_callback_query),
        ("getUpdates", receiving.get_updates),
        ("setWebhook", receiving.set_webhook),
        ("deleteWebhook", receiving.delete_webhook),
        ("getWebhookInfo", receiving.get_webhook_info),
        ("setMyCommands", commands.set_my_commands),
        ("getMyCommands", commands.get_my_commands),
        ("deleteMyCommands", commands.delete_my_commands),
        ("sendChatAction", chats.send_chat_action),
        ("getChat", chats.get_chat),
        ("getChatMember", chats.get_chat_member),
        ("leaveChat", chats.leave_chat),
    )
}
