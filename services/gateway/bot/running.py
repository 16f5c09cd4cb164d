"""Running a command, typed or pressed: who may, what comes of it, and the reply through senders."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from services.gateway.bot import texts
from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood, Registry, Run
from services.gateway.domain.bots import DoorBot
from services.gateway.domain.commands import Done, Typed, command_in
from services.gateway.domain.updates import Written
from services.gateway.store import PersonGone, User
from shared import ids, metrics, tasks, telemetry
from shared.bus import BusUnavailable, NoAnswer, Refusal, RetryLater
from shared.database import is_unavailable
from shared.events import Address, Body, Button, Channel, Lane, MessageRequested, UpdateReceived
from shared.markdown import Message

VALID = timedelta(hours=24)
"""How old a command may get before it is no longer done, and how long its reply may take."""
NAME_UNKNOWN_SECONDS = 2.0
"""The shortest wait for the bot's name; the longer a command has waited, the longer it waits again."""
UNKNOWN = "unknown"

log = telemetry.logger(__name__)


@dataclass(frozen=True)
class Reply:
    """What is said to a command, and what was done; a `fresh` one never replaces what was pressed."""

    message: Message | None
    done: Done
    fresh: bool = False


class Commands:
    """Does what people command."""

    def __init__(self, registry: Registry, bots: Mapping[str, DoorBot], hands: Hands) -> None:
        self._registry = registry
        self._bots = bots
        self._hands = hands
        self._later: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(1)

    async def close(self) -> None:
        """Give up what has been begun for later."""
        await tasks.cancel(*self._later)

    async def run(self, update: UpdateReceived, written: Written, user: User | None, now: datetime) -> Done:
        """Do the command that a message or a press is, if it is one for this bot; say what was done."""
        typed = command_in(update.kind, written.text)
        if typed is None or user is None or written.chat_id is None:
            return Done("ignored")
        command = self._registry.find(typed.name)
        name = command.name if command else UNKNOWN
        age = now - update.at
        if age > VALID:
            return self._counted(Done("expired", name))
        if not self._is_ours(update.bot, typed, age):
            return Done("ignored")
        asked = Asked(typed.rest, user, update, written, now)
        reply = await self._reply(command, asked)
        if reply.message is not None:
            await self._say(reply.message, update, written, fresh=reply.fresh)
        if command is not None and command.after is not None and reply.done.status == "handled":
            task = asyncio.create_task(self._go_on(command, command.after, asked))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        return self._counted(reply.done)

    async def _go_on(self, command: Command, after: Run, asked: Asked) -> None:
        """Do what takes longer, one at a time, and say what came of it."""
        async with self._room:
            try:
                reply = await self._done(replace(command, run=after), asked)
            except Exception as error:  # noqa: BLE001 - the outermost boundary of what is done later
                reply = _failed(command, error, asked)
        if reply.message is not None:
            try:
                await self._say(reply.message, asked.update, asked.written, fresh=True, part="later")
            except BusUnavailable as error:
                log.warning("later_reply_lost", command=command.name, error=str(error))

    def _is_ours(self, bot: str, typed: Typed, age: timedelta) -> bool:
        known = self._bots.get(bot)
        username = known.username if known else None
        if known is not None and username is None and typed.bot is not None:
            # Telegram has not told us yet what the bot is called.
            raise RetryLater(max(NAME_UNKNOWN_SECONDS, age.total_seconds()))
        return typed.is_for(username)

    async def _reply(self, command: Command | None, asked: Asked) -> Reply:
        if command is None:
            message = Message().text(asked.say("unknown_command"))
            is_meant = asked.written.is_private or asked.update.kind == "callback_query"
            return Reply(message if is_meant else None, Done("ignored", UNKNOWN), fresh=True)
        if (refusal := self._refusal(command, asked)) is not None:
            return Reply(refusal, Done("refused", command.name), fresh=True)
        return await self._done(command, asked)

    async def _done(self, command: Command, asked: Asked) -> Reply:
        try:
            with telemetry.span(f"command {command.name}"):
                return Reply(await command.run(asked, self._hands), Done("handled", command.name))
        except NotUnderstood:
            return Reply(_usage(command, asked), Done("ignored", command.name), fresh=True)
        except PersonGone:
            # What is said to them would be kept, and is about nobody.
            return Reply(None, Done("ignored", command.name))
        except NoAnswer:
            return Reply(Message().text(asked.say("no_answer")), Done("failed", command.name), fresh=True)
        except Exception as error:
            if isinstance(error, Refusal) and error.status < 500:
                return Reply(_refused(error, asked), Done("handled", command.name), fresh=True)
            if isinstance(error, RetryLater | BusUnavailable) or is_unavailable(error):
                raise
            return _failed(command, error, asked)

    def _refusal(self, command: Command, asked: Asked) -> Message | None:
        """Say why somebody may not give a command here, or None where they may."""
        if not asked.user.active:
            return Message().text(asked.say("suspended"))
        if asked.user.role < command.role:
            needed, own = command.role.name, asked.user.role.name
            return Message().text(asked.say("role_needed", command=command.name, needed=needed, own=own))
        if command.private and not asked.written.is_private:
            message = Message().text(asked.say("in_private", command=command.name))
            known = self._bots.get(asked.update.bot)
            if known is not None and known.username is not None:
                url = f"https://t.me/{known.username}"
                message.button(Button(text=asked.say("write_to_me"), url=url))
            return message
        return None

    async def _say(
        self, reply: Message, update: UpdateReceived, written: Written, *, fresh: bool, part: str = ""
    ) -> None:
        pressed = update.kind == "callback_query"
        edits = pressed and not fresh and not written.is_gone
        await self._hands.bus.publish(
            MessageRequested(
                id=ids.derived("reply", update.id, *filter(None, [part])),
                at=update.at,
                lane=Lane.TRANSACTIONAL,
                channels=(Channel.TELEGRAM,),
                address=Address(telegram_chat_id=written.chat_id),
                bot=update.bot,
                body=Body(text=reply.render(), format="markdown_v2", buttons=reply.buttons),
                reply_to_message_id=None if written.is_private or pressed else written.message_id,
                edit_message_id=written.message_id if edits else None,
                expires_at=update.at + VALID,
            )
        )
        metrics.MESSAGES_ENQUEUED.labels(priority=Lane.TRANSACTIONAL, channel=Channel.TELEGRAM).inc()

    def _counted(self, done: Done) -> Done:
        metrics.COMMANDS.labels(command=done.command or UNKNOWN, status=done.status).inc()
        return done


def _usage(command: Command, asked: Asked) -> Message:
    usage = f"/{command.name} {command.usage}".rstrip()
    message = Message().text(asked.say("not_understood")).blank().code(usage)
    return message.blank().text(command.explained(asked.user.language))


def _refused(refusal: Refusal, asked: Asked) -> Message:
    return Message().title(asked.say("nothing_done")).text(refusal.detail or refusal.title)


def _failed(command: Command, error: Exception, asked: Asked) -> Reply:
    error_id = uuid4().hex[:12]
    log.error(
        "command_failed", command=command.name, error_id=error_id,
        error=type(error).__name__, where=telemetry.where(error),
    )  # fmt: skip
    message = Message().text(texts.say(asked.user.language, "failed")).text(f"Error id: {error_id}")
    return Reply(message, Done("failed", command.name, error_id), fresh=True)
