"""Running a command: who may, what comes of it, and the reply, which goes through senders."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import uuid4

from services.gateway.bot.registry import Asked, Command, Hands, Registry
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.commands import Done, Typed, typed_in
from services.gateway.domain.updates import Written
from services.gateway.store import User
from shared import ids, metrics, telemetry
from shared.bus import BusUnavailable, RetryLater
from shared.database import is_unavailable
from shared.events import Address, Body, Channel, Lane, MessageRequested, UpdateReceived
from shared.markdown import Message

VALID = timedelta(hours=24)
"""How old a command may get before it is no longer done, and how long its reply may take."""
NAME_UNKNOWN_SECONDS = 2.0
"""The shortest wait for the bot's name; the longer a command has waited, the longer it waits again."""
UNKNOWN = "unknown"

log = telemetry.logger(__name__)


class Commands:
    """Does what people command."""

    def __init__(self, registry: Registry, bots: Mapping[str, DoorBot], hands: Hands) -> None:
        self._registry = registry
        self._bots = bots
        self._hands = hands

    async def run(self, update: UpdateReceived, written: Written, user: User | None, now: datetime) -> Done:
        """Do the command that a message is, if it is one for this bot; say what was done."""
        typed = typed_in(written.text) if update.kind == "message" else None
        if typed is None or user is None or written.chat_id is None:
            return Done("ignored")
        command = self._registry.find(typed.name)
        name = command.name if command else UNKNOWN
        age = now - update.at
        if age > VALID:
            return self._counted(Done("expired", name))
        if not self._is_ours(update.bot, typed, age):
            return Done("ignored")
        reply, done = await self._reply(command, Asked(typed.rest, user, update, written, now))
        if reply is not None:
            await self._say(reply, update, written)
        return self._counted(done)

    def _is_ours(self, bot: str, typed: Typed, age: timedelta) -> bool:
        known = self._bots.get(bot)
        username = known.username if known else None
        if known is not None and username is None and typed.bot is not None:
            # Telegram has not told us yet what the bot is called.
            raise RetryLater(max(NAME_UNKNOWN_SECONDS, age.total_seconds()))
        return typed.is_for(username)

    async def _reply(self, command: Command | None, asked: Asked) -> tuple[Message | None, Done]:
        if command is None:
            message = Message().text("I do not know that command. Send /help to see those that I know.")
            return (message if asked.written.is_private else None), Done("ignored", UNKNOWN)
        if not asked.user.active:
            return Message().text("Your access is suspended."), Done("refused", command.name)
        if asked.user.role < command.role:
            needed = f"/{command.name} needs the role {command.role.name}; yours is {asked.user.role.name}."
            return Message().text(needed), Done("refused", command.name)
        try:
            with telemetry.span(f"command {command.name}"):
                return await command.run(asked, self._hands), Done("handled", command.name)
        except Exception as error:
            if isinstance(error, RetryLater | BusUnavailable) or is_unavailable(error):
                raise
            return _failed(command, error)

    async def _say(self, reply: Message, update: UpdateReceived, written: Written) -> None:
        await self._hands.publish(
            MessageRequested(
                id=ids.derived("reply", update.id),
                at=update.at,
                lane=Lane.TRANSACTIONAL,
                channels=(Channel.TELEGRAM,),
                address=Address(telegram_chat_id=written.chat_id),
                bot=update.bot,
                body=Body(text=reply.render(), format="markdown_v2", buttons=reply.buttons),
                reply_to_message_id=None if written.is_private else written.message_id,
                expires_at=update.at + VALID,
            )
        )
        metrics.MESSAGES_ENQUEUED.labels(priority=Lane.TRANSACTIONAL, channel=Channel.TELEGRAM).inc()

    def _counted(self, done: Done) -> Done:
        metrics.COMMANDS.labels(command=done.command or UNKNOWN, status=done.status).inc()
        return done


def _failed(command: Command, error: Exception) -> tuple[Message, Done]:
    error_id = uuid4().hex[:12]
    log.error(
        "command_failed", command=command.name, error_id=error_id,
        error=type(error).__name__, where=telemetry.where(error),
    )  # fmt: skip
    message = Message().text("Something went wrong on our side.").text(f"Error id: {error_id}")
    return message, Done("failed", command.name, error_id)
