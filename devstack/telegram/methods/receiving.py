"""How a bot receives its updates: getUpdates, or a webhook."""

import re
from dataclasses import dataclass
from typing import Any

from devstack.telegram.addresses import check_url
from devstack.telegram.cloud import Call
from devstack.telegram.refusals import bad_request, conflict, too_many_requests
from devstack.telegram.updates import DEFAULT_KINDS
from devstack.telegram.webhook import Hook

_SECRET = re.compile(r"[A-Za-z0-9_-]*")


class Raw(str):
    """A result that is JSON text already."""

    __slots__ = ()


@dataclass(frozen=True)
class Noted:
    """A result of true and the description that goes with it."""

    description: str


async def get_updates(call: Call) -> Raw:
    """Return waiting updates, after a long poll where there are none."""
    if call.bot.webhook is not None:
        raise conflict(
            "can't use getUpdates method while webhook is active;"
            " use deleteWebhook to delete the webhook first"
        )
    _want(call)
    arguments = call.arguments
    updates = await call.bot.polling.poll(
        arguments.integer("offset"),
        arguments.integer("limit", 100, low=1, high=100),
        arguments.integer("timeout", low=0, high=50),
    )
    return Raw("[" + ",\n".join(update.body for update in updates) + "]")


async def set_webhook(call: Call) -> Noted:
    """Register a webhook; an unacceptable URL leaves the bot without any."""
    arguments, bot = call.arguments, call.bot
    url = arguments.text("url").strip()
    if not url:
        return await delete_webhook(call)
    if len(secret := arguments.text("secret_token")) > 256:
        raise bad_request("secret token is too long")
    if not _SECRET.fullmatch(secret):
        raise bad_request("secret token contains unallowed characters")
    now = call.cloud.clock.monotonic()
    if now < bot.webhook_set_at + 1:
        raise too_many_requests(1)
    bot.webhook_set_at = now
    most = arguments.integer("max_connections", 40)
    hook = Hook(url, secret, min(max(most, 1), 100) if most else 40, arguments.text("ip_address"))
    drop = arguments.flag("drop_pending_updates")
    _want(call)
    if bot.webhook is not None and bot.webhook.hook == hook and not drop:
        return Noted("Webhook is already set")
    bot.polling.interrupt(conflict("terminated by setWebhook request"))
    await call.cloud.unhook(bot)
    if drop:
        bot.updates.drop(list(bot.updates.pending.values()))
    await check_url(url, local=call.cloud.conditions.local)
    call.cloud.hook(bot, hook)
    return Noted("Webhook was set")


async def delete_webhook(call: Call) -> Noted:
    """Go back to getUpdates."""
    bot = call.bot
    existed = bot.webhook is not None
    await call.cloud.unhook(bot)
    if call.arguments.flag("drop_pending_updates"):
        bot.updates.drop(list(bot.updates.pending.values()))
    return Noted("Webhook was deleted" if existed else "Webhook is already deleted")


async def get_webhook_info(call: Call) -> dict[str, Any]:
    """Return a WebhookInfo: three fields always, the others when they are set."""
    bot = call.bot
    info: dict[str, Any] = {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": len(bot.updates.pending),
    }
    if bot.webhook is not None:
        hook = bot.webhook.hook
        info |= {"url": hook.url, "max_connections": hook.max_connections}
        if hook.ip_address:
            info["ip_address"] = hook.ip_address
        if bot.webhook.last_error is not None:
            info["last_error_date"], info["last_error_message"] = bot.webhook.last_error
    if bot.updates.allowed != DEFAULT_KINDS:
        info["allowed_updates"] = sorted(bot.updates.allowed)
    return info


def _want(call: Call) -> None:
    """Take `allowed_updates` where it is there and can be read; otherwise the former setting stays."""
    if "allowed_updates" in call.arguments:
        try:
            call.bot.updates.want(call.arguments.json("allowed_updates"))
        except ValueError:
            return
