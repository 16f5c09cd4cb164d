"""The people that the bots have met."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text

from services.gateway.domain.roles import Role
from services.gateway.store.gone import PersonGone, noticing_who_is_gone
from services.gateway.store.seen import Seen, columns_of
from shared import ids
from shared.database import Database
from shared.events import RecipientForgotten

Preference = Literal["news", "muted", "quiet_hours", "time_zone"]
"""What people choose of themselves, and senders keeps."""

# In the order of ids, so that two batches with the same people cannot wait for each other; of whom both are
# the first to meet, Telegram ids are compared at the end (see the table). What is older than the row changes
# nothing of it but the private chat, which never changes once it is known. Who is only seen again while
# senders is told of them keeps the cause: what is told is still how they are.
_TOLD_THE_SAME = """
            (excluded.language IS NULL OR excluded.language IS NOT DISTINCT FROM known.language)
            AND (excluded.chat_id IS NULL OR known.chat_id IS NOT NULL)"""
_REGISTER = text(f"""
    INSERT INTO telegram_users AS known (id, telegram_id, username, first_name, last_name, language, chat_id,
                                         bot, cause, first_seen_at, last_seen_at)
    SELECT id, telegram_id, username, first_name, last_name, language, chat_id, bot, cause, seen_at, seen_at
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:telegram_ids AS bigint[]), CAST(:usernames AS text[]),
        CAST(:first_names AS text[]), CAST(:last_names AS text[]), CAST(:languages AS text[]),
        CAST(:chat_ids AS bigint[]), CAST(:bots AS text[]), CAST(:causes AS uuid[]),
        CAST(:seen_at AS timestamptz[])
    ) AS seen (id, telegram_id, username, first_name, last_name, language, chat_id, bot, cause, seen_at)
    WHERE NOT EXISTS (SELECT FROM forgotten_users AS f
                      WHERE f.user_id = seen.id AND seen.seen_at <= f.forgotten_at)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
    SET (username, first_name, last_name, language) = (
            SELECT newer.username, newer.first_name, newer.last_name, newer.language
            FROM (VALUES
                (excluded.username, excluded.first_name, excluded.last_name,
                 coalesce(excluded.language, known.language), excluded.last_seen_at >= known.last_seen_at),
                (known.username, known.first_name, known.last_name,
                 coalesce(known.language, excluded.language), excluded.last_seen_at < known.last_seen_at)
            ) AS newer (username, first_name, last_name, language, chosen)
            WHERE newer.chosen
        ),
        chat_id = coalesce(known.chat_id, excluded.chat_id), bot = coalesce(known.bot, excluded.bot),
        announced = known.announced AND {_TOLD_THE_SAME},
        cause = CASE WHEN {_TOLD_THE_SAME} THEN known.cause ELSE excluded.cause END,
        last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at)
    WHERE excluded.last_seen_at >= known.last_seen_at
       OR (known.chat_id IS NULL AND excluded.chat_id IS NOT NULL)
    """)  # noqa: S608 - the only thing put into it is the expression above
_MEET = text(f"{_REGISTER.text} RETURNING *")

_FORGET = text("DELETE FROM telegram_users WHERE id = :id AND last_seen_at <= :at RETURNING id")

# Who came back before this was told is new: what was theirs goes, what they have said since stays.
_BEGIN_ANEW = text("""
    WITH since AS (SELECT what FROM telegram_user_changes WHERE user_id = :id AND at > :at),
    old AS (
        DELETE FROM telegram_user_changes c USING telegram_users u
        WHERE c.user_id = :id AND c.at <= :at AND u.id = :id AND u.first_seen_at <= :at),
    wrote AS (SELECT EXISTS (
        SELECT 1 FROM telegram_webhooks w
        WHERE w.user_id = :id AND w.received_at > :at AND w.chat_id = (
            SELECT chat_id FROM telegram_users WHERE id = :id)) AS privately)
    UPDATE telegram_users
    SET role = CASE WHEN 'role' IN (SELECT what FROM since) THEN role ELSE 'public' END,
        active = active OR 'active' NOT IN (SELECT what FROM since),
        chosen_language = CASE WHEN 'language' IN (SELECT what FROM since) THEN chosen_language END,
        chat_id = CASE WHEN wrote.privately THEN chat_id END, bot = CASE WHEN wrote.privately THEN bot END,
        cause = :cause, announced = false, announced_role = NULL, first_seen_at = last_seen_at
    FROM wrote WHERE id = :id AND first_seen_at <= :at""")

_FIND = text("SELECT * FROM telegram_users WHERE id = :id")

_ALL_OF = text("SELECT * FROM telegram_users WHERE id = ANY(CAST(:ids AS uuid[]))")

_UNANNOUNCED = text("SELECT * FROM telegram_users WHERE NOT announced ORDER BY id LIMIT :limit")

# In the order in which people are registered: two in other orders would wait for each other.
_ANNOUNCED = text("""
    WITH noted AS (
        SELECT known.id, told.role
        FROM unnest(CAST(:ids AS uuid[]), CAST(:causes AS uuid[]), CAST(:roles AS text[]))
             AS told (id, cause, role)
        JOIN telegram_users AS known USING (id, cause)
        ORDER BY known.id FOR NO KEY UPDATE OF known)
    UPDATE telegram_users AS known SET announced = true, announced_role = noted.role
    FROM noted WHERE known.id = noted.id""")

_ANNOUNCE_AGAIN = text("""
    WITH changed AS (
        SELECT id FROM telegram_users
        WHERE (telegram_id = ANY(CAST(:owners AS bigint[])) AND announced_role IS DISTINCT FROM 'owner')
           OR (announced_role = 'owner' AND role <> 'owner'
               AND telegram_id <> ALL(CAST(:owners AS bigint[])))
        ORDER BY id FOR NO KEY UPDATE)
    UPDATE telegram_users SET announced = false FROM changed WHERE telegram_users.id = changed.id""")

# An update that comes again, or late, must not undo what a later one has asked for meanwhile.
_NEWEST = """
    WITH newest AS (
        INSERT INTO telegram_user_changes AS known (user_id, what, at, update_id)
        SELECT id, :what, :at, :update_id FROM telegram_users
        WHERE id = :id AND (CAST(:only_from AS text) IS NULL OR role = :only_from)
        ON CONFLICT (user_id, what) DO UPDATE SET at = excluded.at, update_id = excluded.update_id
        WHERE (known.at, known.update_id) <= (excluded.at, excluded.update_id)
        RETURNING user_id
    )
    {then}"""

_IS_NEWEST = text(_NEWEST.format(then="SELECT user_id FROM newest"))

_SET_ROLE = text(
    _NEWEST.format(
        then="""
    UPDATE telegram_users SET role = :role, cause = :cause, announced = false
    FROM newest WHERE id = newest.user_id RETURNING telegram_users.*"""
    )
)

_SET_ACTIVE = text(
    _NEWEST.format(
        then="""
    UPDATE telegram_users SET active = :active
    FROM newest WHERE id = newest.user_id RETURNING telegram_users.*"""
    )
)

_CHOOSE_LANGUAGE = text(
    _NEWEST.format(
        then="""
    UPDATE telegram_users SET chosen_language = :language, cause = :cause, announced = false
    FROM newest WHERE id = newest.user_id RETURNING telegram_users.*"""
    )
)

# User names change hands; whoever was seen last under one has it now.
_NAMED = text("""
    SELECT * FROM telegram_users WHERE lower(username) = lower(:username)
    ORDER BY last_seen_at DESC, id LIMIT 1""")

_COUNT = text("""
    SELECT CASE WHEN telegram_id = ANY(CAST(:owners AS bigint[])) THEN 'owner' ELSE role END AS held,
           count(*) AS people, count(*) FILTER (WHERE NOT active) AS suspended
    FROM telegram_users GROUP BY held""")

# Whoever has a menu of another role than theirs; people of no role have the one that everybody has.
_UNTOLD_MENUS = text("""
    WITH menus (role, digest) AS (
        SELECT * FROM unnest(CAST(:roles AS text[]), CAST(:digests AS text[]))
    )
    SELECT u.* FROM telegram_users u
    JOIN menus ON menus.role = CASE WHEN u.telegram_id = ANY(CAST(:owners AS bigint[]))
                                    THEN 'owner' ELSE u.role END
    WHERE coalesce(u.told_menu, '') <> menus.digest  -- empty: what everybody is shown
      AND (u.role <> 'public' OR u.told_menu IS NOT NULL OR u.telegram_id = ANY(CAST(:owners AS bigint[])))
      AND u.chat_id IS NOT NULL
    ORDER BY u.id LIMIT :limit""")

_MENU_TOLD = text("UPDATE telegram_users SET told_menu = nullif(:digest, '') WHERE id = :id")

_PRIVILEGED = text("""
    SELECT * FROM telegram_users
    WHERE role IN ('admin', 'owner') OR telegram_id = ANY(CAST(:owners AS bigint[])) ORDER BY id""")


@dataclass(frozen=True)
class User:
    """Somebody that a bot has met; `role` counts the owners that settings name."""

    id: UUID
    telegram_id: int
    role: Role
    active: bool
    language: str | None
    chat_id: int | None
    bot: str | None
    cause: UUID
    username: str | None = None
    first_name: str = ""
    seen_at: datetime | None = None
    is_fixed: bool = False
    """Settings name them as an owner: no command changes that."""


@dataclass(frozen=True)
class Wish:
    """The update that asks for a change; of two about the same thing, the later one counts."""

    cause: UUID
    at: datetime
    update_id: int


@dataclass(frozen=True)
class People:
    """How many people have a role, and how many of them are suspended."""

    role: Role
    people: int
    suspended: int


class Users:
    """The people that the bots have met; `owners` are the Telegram ids that settings name."""

    def __init__(self, database: Database, owners: Collection[int] = ()) -> None:
        self._database = database
        self.owners = frozenset(owners)

    async def register(self, people: Sequence[Seen]) -> None:
        """Remember people, the newest state of each."""
        if columns := columns_of(people):
            await self._database.execute(_REGISTER, **columns)

    async def meet(self, people: Sequence[Seen]) -> dict[int, User]:
        """Remember people, and return what is known of each now, by their Telegram ids."""
        columns = columns_of(people)
        rows = await self._database.rows(_MEET, **columns) if columns else ()
        known = {row["telegram_id"]: self._read(row) for row in rows}
        # Of whom something newer is known already nothing was written.
        return known | await self.all_of({each.person.telegram_id for each in people} - known.keys())

    async def forget(self, told: RecipientForgotten) -> None:
        """Drop a person, with all that is theirs; who has come back since begins anew."""
        person = {"id": told.user_id, "at": told.at}
        if await self._database.value(_FORGET, **person) is None:
            await self._database.execute(_BEGIN_ANEW, **person, cause=told.id)

    async def find(self, telegram_id: int) -> User | None:
        """Return what is known of a person."""
        row = await self._database.row(_FIND, id=ids.user_of_telegram(telegram_id))
        return self._read(row) if row else None

    async def all_of(self, telegram_ids: Collection[int]) -> dict[int, User]:
        """Return what is known of people, by their Telegram ids."""
        if not telegram_ids:
            return {}
        rows = await self._database.rows(_ALL_OF, ids=[ids.user_of_telegram(each) for each in telegram_ids])
        return {row["telegram_id"]: self._read(row) for row in rows}

    async def unannounced(self, limit: int) -> list[User]:
        """Return people whose state senders has not been told."""
        return [self._read(row) for row in await self._database.rows(_UNANNOUNCED, limit=limit)]

    async def mark_announced(self, users: Sequence[User]) -> None:
        """Remember that senders knows these states, but of whom has changed since."""
        await self._database.execute(
            _ANNOUNCED,
            ids=[user.id for user in users],
            causes=[user.cause for user in users],
            roles=[user.role.word for user in users],
        )

    async def announce_owners_again(self) -> None:
        """Have senders told of everybody whom settings have made an owner since, or one no longer."""
        await self._database.execute(_ANNOUNCE_AGAIN, owners=sorted(self.owners))

    async def named(self, name: str) -> User | None:
        """Return the person of a Telegram id, or of a user name with or without its @."""
        name = name.removeprefix("@")
        if name.isdecimal() and len(name) < 19:
            return await self.find(int(name))
        row = await self._database.row(_NAMED, username=name)
        return self._read(row) if row else None

    async def set_role(self, user: User, role: Role, wish: Wish, *, only_from: Role | None = None) -> User:
        """Give a person a role (if they have the role `only_from`, where given); return what they are now.

        Raises PersonGone, like what follows.
        """
        word = only_from.word if only_from is not None else None
        row = await self._newest(_SET_ROLE, user, "role", wish, word, role=role.word, cause=wish.cause)
        return await self._now(user, row)

    async def set_active(self, user: User, wish: Wish, *, active: bool) -> User:
        """Suspend a person, or let them in again; return what they are now."""
        return await self._now(user, await self._newest(_SET_ACTIVE, user, "active", wish, active=active))

    async def choose_language(self, user: User, language: str | None, wish: Wish) -> User:
        """Remember in which language a person wants to be spoken to; None follows Telegram's."""
        row = await self._newest(
            _CHOOSE_LANGUAGE, user, "language", wish, language=language, cause=wish.cause
        )
        return await self._now(user, row)

    async def is_newest(self, user: User, what: Preference, wish: Wish) -> bool:
        """Note a wish about what senders keeps of a person; False where a later one has been noted."""
        return await self._newest(_IS_NEWEST, user, what, wish) is not None

    async def _newest(
        self, statement: TextClause, user: User, what: str, wish: Wish, only_from: str | None = None,
        **values: Any,
    ) -> RowMapping | None:  # fmt: skip
        with noticing_who_is_gone():
            row = await self._database.row(
                statement, id=user.id, what=what, at=wish.at, update_id=wish.update_id, only_from=only_from,
                **values,
            )  # fmt: skip
        if row is None and await self.find(user.telegram_id) is None:
            raise PersonGone
        return row

    async def _now(self, user: User, row: RowMapping | None) -> User:
        return self._read(row) if row else await self.find(user.telegram_id) or user

    async def count(self) -> list[People]:
        """Count people by role, owners that settings name among them."""
        rows = await self._database.rows(_COUNT, owners=sorted(self.owners))
        return [People(Role.of(row["held"]), row["people"], row["suspended"]) for row in rows]

    async def untold_menus(self, digests: Mapping[Role, str], limit: int) -> list[User]:
        """Return people whose menu at Telegram is not that of their role; `digests` names those of roles."""
        rows = await self._database.rows(
            _UNTOLD_MENUS, roles=[role.word for role in digests], digests=list(digests.values()),
            owners=sorted(self.owners), limit=limit,
        )  # fmt: skip
        return [self._read(row) for row in rows]

    async def menu_told(self, user: User, digest: str) -> None:
        """Remember what Telegram was told to show a person."""
        await self._database.execute(_MENU_TOLD, id=user.id, digest=digest)

    async def privileged(self) -> list[User]:
        """Return every admin and owner, those that settings name among them."""
        return [self._read(row) for row in await self._database.rows(_PRIVILEGED, owners=sorted(self.owners))]

    def _read(self, row: RowMapping) -> User:
        is_fixed = row["telegram_id"] in self.owners
        return User(
            id=row["id"], telegram_id=row["telegram_id"],
            role=Role.OWNER if is_fixed else Role.of(row["role"]), active=row["active"],
            language=row["chosen_language"] or row["language"], chat_id=row["chat_id"], bot=row["bot"],
            cause=row["cause"], username=row["username"], first_name=row["first_name"], is_fixed=is_fixed,
            seen_at=row["last_seen_at"],
        )  # fmt: skip
