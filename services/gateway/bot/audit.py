"""`/audit`: whether everything that was accepted is accounted for."""

from services.gateway.bot.registry import Asked, Command, Hands
from services.gateway.domain.roles import Role
from shared.markdown import Message
from shared.record.auditing import audit as take_audit

MOST_LINES = 60


async def audit(asked: Asked, _: Hands) -> Message:
    """Say that it takes its time: the audit waits until this very update has been handled."""
    return Message().text(asked.say("audit.running"))


async def balance(asked: Asked, hands: Hands) -> Message:
    """Compare streams and tables of every service, and tell each sum with its difference."""
    done = await take_audit(hands.bus)
    message = Message().title(asked.say("audit.balanced" if done.balanced else "audit.not_balanced")).blank()
    # What differs stands first, whatever is cut off at the end.
    for line in sorted(done.lines, key=lambda line: line.difference == 0)[:MOST_LINES]:
        key = "audit.different" if line.difference else "audit.line"
        facts = line.model_dump(include={"name", "stream", "tables", "difference"})
        message.bullet(asked.say(key, **facts))
    for key, names in (("audit.late", done.late), ("audit.silent", done.silent)):
        if names:
            message.text(asked.say(key, names=", ".join(names)))
    message.blank().text(asked.say("audit.letters", n=done.dead_letters))
    return message.row(asked.press("admin.dlq", "dlq"), asked.press("dlq.refresh", "audit"))


AUDIT = Command(
    name="audit",
    category="system",
    description="See whether the books balance",
    role=Role.OWNER,
    run=audit,
    help="Compares what the streams say with what the tables say, and shows every difference.",
    private=True,
    after=balance,
)
