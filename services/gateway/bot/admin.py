"""`/admin` and `/role`: who is here, who may what, and who may no longer."""

from datetime import timedelta

from services.gateway.bot.registry import Asked, Command, Hands, NotUnderstood
from services.gateway.domain.roles import Role
from services.gateway.store import PersonGone, User
from shared.markdown import Message

DAY = timedelta(hours=24)
MOST = 30


async def admin(asked: Asked, hands: Hands) -> Message:
    """Show how things are, or change who is let in."""
    match asked.words:
        case []:
            return await _overview(asked, hands)
        case [verb, name] if verb.lower() in {"suspend", "restore"}:
            return await _let_in(asked, hands, name, active=verb.lower() == "restore")
    raise NotUnderstood


async def role(asked: Asked, hands: Hands) -> Message:
    """Show who has a role above the others, show one person, or give them a role."""
    match asked.words:
        case []:
            return await _privileged(asked, hands)
        case [name]:
            user = await hands.users.named(name)
            return _unknown(asked, name) if user is None else _person(asked, user)
        case [name, word] if word.upper() in Role.__members__:
            return await _give(asked, hands, name, Role.of(word))
    raise NotUnderstood


async def _overview(asked: Asked, hands: Hands) -> Message:
    message = Message().title(asked.say("admin.title")).blank()
    for each in sorted(await hands.users.count(), key=lambda people: people.role):
        key = "admin.suspended" if each.suspended else "admin.people"
        message.bullet(asked.say(key, role=each.role.name, n=each.people, suspended=each.suspended))
    statuses = await hands.log.count_since(asked.now - DAY)
    message.blank().text(asked.say("admin.updates", n=sum(statuses.values())))
    for status, number in sorted(statuses.items()):
        message.bullet(asked.say("admin.status", status=status, n=number))
    message.blank().text(asked.say("admin.letters", n=await hands.bus.dead_letters.count()))
    message.row(asked.press("admin.privileged", "role"), asked.press("admin.audit", "audit"))
    message.row(asked.press("admin.dlq", "dlq"), asked.press("admin.marketing", "marketing_status"))
    return message.row(asked.press("admin.broadcasts", "broadcast"))


async def _privileged(asked: Asked, hands: Hands) -> Message:
    people = await hands.users.privileged()
    message = Message().title(asked.say("admin.privileged")).blank()
    for user in people:
        message.bullet(f"{_name(asked, user)}: {user.role.name}")
    for user in people[:MOST]:
        message.button(asked.press("admin.person", "role", str(user.telegram_id), **_named(user)))
    return message if people else message.text(asked.say("admin.none"))


async def _give(asked: Asked, hands: Hands, name: str, wanted: Role) -> Message:
    user = await hands.users.named(name)
    if user is None:
        return _unknown(asked, name)
    if (reason := _untouchable(asked, user)) is not None:
        return Message().text(asked.say(reason))
    try:
        user = await hands.users.set_role(user, wanted, asked.wish)
    except PersonGone:
        return _unknown(asked, name)
    return _person(asked, user, asked.say("admin.role_set", role=user.role.name))


async def _let_in(asked: Asked, hands: Hands, name: str, *, active: bool) -> Message:
    user = await hands.users.named(name)
    if user is None:
        return _unknown(asked, name)
    if (reason := _untouchable(asked, user)) is not None:
        return Message().text(asked.say(reason))
    try:
        return _person(asked, await hands.users.set_active(user, asked.wish, active=active))
    except PersonGone:
        return _unknown(asked, name)


def _untouchable(asked: Asked, user: User) -> str | None:
    """Return why no command changes a person: so that there is always an owner who is let in."""
    if user.id == asked.user.id:
        return "admin.yourself"
    return "admin.fixed" if user.is_fixed else None


def _person(asked: Asked, user: User, *first: str) -> Message:
    message = Message().title(_name(asked, user)).blank()
    for line in first:
        message.text(line)
    message.bullet(asked.say("admin.role_is", role=user.role.name))
    message.bullet(asked.say("admin.state_active" if user.active else "admin.state_suspended"))
    if (reason := _untouchable(asked, user)) is not None:
        return message.blank().text(asked.say(reason)).row(asked.press("admin.privileged", "role"))
    message.blank().text(asked.say("admin.choose_role"))
    others = [each for each in Role if each is not user.role]
    message.row(*(asked.button(each.name, "role", f"{user.telegram_id} {each.word}") for each in others))
    verb = "suspend" if user.active else "restore"
    message.row(asked.press(f"admin.{verb}", "admin", f"{verb} {user.telegram_id}"))
    return message.row(asked.press("admin.privileged", "role"))


def _unknown(asked: Asked, name: str) -> Message:
    return Message().text(asked.say("admin.unknown", person=name[:64]))


def _name(asked: Asked, user: User) -> str:
    return asked.say("admin.person", **_named(user))


def _named(user: User) -> dict[str, object]:
    name = f"@{user.username}" if user.username else user.first_name.strip()
    return {"name": name or "?", "id": user.telegram_id}


ADMIN = Command(
    name="admin",
    category="system",
    description="People, activity, and who is let in",
    role=Role.OWNER,
    run=admin,
    usage="[suspend|restore <person>]",
    help="Shows who has which role and what came in during 24 hours. A person, named by Telegram id or "
    "@name, can be suspended and let in again.",
    private=True,
)

ROLE = Command(
    name="role",
    category="system",
    description="Who may what",
    role=Role.OWNER,
    run=role,
    usage="[<person> [public|subscriber|admin|owner]]",
    help="Lists admins and owners, shows a person, named by Telegram id or @name, or gives them a role.",
    private=True,
)
