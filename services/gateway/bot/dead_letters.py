"""`/dlq`: what could not be handled, and trying it again."""

from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.roles import Role
from shared.bus import DeadLetter
from shared.markdown import Message

MOST = 10
MOST_REPLAYED = 2_000
"""Of one command; what is left is listed, with the button to go on."""


async def dlq(asked: Asked, hands: Hands) -> Message:
    """List dead letters, show one, or replay one or all."""
    match asked.words:
        case []:
            return await _list(asked, hands)
        case ["show", number] if number.isdecimal():
            return await _show(asked, hands, int(number))
        case ["replay", "all"]:
            return await _replay_all(asked, hands)
        case ["replay", number] if number.isdecimal():
            return await _replay(asked, hands, int(number))
    raise NotUnderstood


async def _list(asked: Asked, hands: Hands, *first: str) -> Message:
    letters = []
    async for letter in hands.bus.dead_letters.all():
        letters.append(letter)
        if len(letters) == MOST:
            break
    message = Message().title(asked.say("dlq.title")).blank()
    for line in first:
        message.text(line)
    if letters:
        message.text(asked.say("dlq.count", n=await hands.bus.dead_letters.count()))
    for letter in letters:
        message.bullet(asked.say("dlq.line", **_facts(letter)))
    message.text(asked.say("dlq.more", shown=MOST) if len(letters) == MOST else "")
    if not letters:
        message.text(asked.say("dlq.none"))
    shows = [asked.press("dlq.show", "dlq", f"show {each.number}", number=each.number) for each in letters]
    for place in range(0, len(shows), 5):
        message.row(*shows[place : place + 5])
    if letters:
        message.row(asked.press("dlq.replay_all", "dlq", "replay all"))
    return message.row(asked.press("dlq.refresh", "dlq"))


async def _show(asked: Asked, hands: Hands, number: int) -> Message:
    letter = await hands.bus.dead_letters.get(number)
    if letter is None:
        return _gone(asked, number)
    facts = _facts(letter)
    message = Message().title(asked.say("dlq.show", number=number)).blank()
    message.bullet(asked.say("dlq.event", **facts)).bullet(asked.say("dlq.event_id", **facts))
    message.bullet(asked.say("dlq.where", **facts)).bullet(asked.say("dlq.why", **facts))
    if letter.trace_id is not None:
        message.bullet(asked.say("dlq.trace", trace=letter.trace_id))
    message.row(asked.press("dlq.replay", "dlq", f"replay {number}"))
    return message.row(asked.press("back", "dlq"))


async def _replay(asked: Asked, hands: Hands, number: int) -> Message:
    letter = await hands.bus.dead_letters.get(number)
    if letter is None:
        return _gone(asked, number)
    if letter.erased:
        return _gone(asked, number)
    await hands.bus.dead_letters.replay(letter)
    return await _list(asked, hands, asked.say("dlq.replayed", n=1))


async def _replay_all(asked: Asked, hands: Hands) -> Message:
    replayed = 0
    async for letter in hands.bus.dead_letters.all():
        # What has died since the command was given is none of it, also when the command is handled again.
        if replayed == MOST_REPLAYED or (letter.died_at is not None and letter.died_at > asked.update.at):
            break
        if not letter.erased:
            await hands.bus.dead_letters.replay(letter)
            replayed += 1
    return await _list(asked, hands, asked.say("dlq.replayed", n=replayed))


def _gone(asked: Asked, number: int) -> Message:
    return Message().text(asked.say("dlq.gone", number=number)).row(asked.press("back", "dlq"))


def _facts(letter: DeadLetter) -> dict[str, object]:
    """Return what is told of a dead letter: never its payload, which holds what people wrote."""
    died_at = f"{letter.died_at:%Y-%m-%d %H:%M:%S} UTC" if letter.died_at else "?"
    return {
        "number": letter.number, "event": letter.event or "?", "id": letter.event_key or "?",
        "durable": letter.durable, "reason": letter.reason, "error": letter.error,
        "attempts": letter.attempts, "time": died_at,
    }  # fmt: skip


DLQ = Command(
    name="dlq",
    category="system",
    description="See and replay what could not be handled",
    role=Role.OWNER,
    run=dlq,
    usage="[show <number>|replay <number>|replay all]",
    help="Lists dead letters. A replayed one keeps its id, so that nothing is done twice.",
    private=True,
)
