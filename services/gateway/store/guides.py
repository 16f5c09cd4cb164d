"""Guides, and who saved and read which."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text

from services.gateway.domain.guides import Category, Difficulty, Guide
from services.gateway.store.gone import noticing_who_is_gone
from shared.database import Database

_FIELDS = "id, category, difficulty, title, text, position, enabled"
_VALUES = ":id, :category, :difficulty, :title, :text, :position, :enabled"

_SHIP = text(
    f"INSERT INTO telegram_guides ({_FIELDS}) VALUES ({_VALUES}) ON CONFLICT (id) DO NOTHING"  # noqa: S608 - constants
)

_CREATE = text(f"""
    INSERT INTO telegram_guides ({_FIELDS}) VALUES ({_VALUES})
    ON CONFLICT (id) DO NOTHING RETURNING {_FIELDS}""")  # noqa: S608 - constants

_CHANGE = text(f"""
    UPDATE telegram_guides
    SET category = :category, difficulty = :difficulty, title = :title, text = :text, position = :position,
        enabled = :enabled, updated_at = now()
    WHERE id = :id RETURNING {_FIELDS}""")  # noqa: S608 - constants

_FIND = text(f"SELECT {_FIELDS} FROM telegram_guides WHERE id = :id")  # noqa: S608 - constants

_LIST = text(f"""
    SELECT {_FIELDS} FROM telegram_guides
    WHERE (enabled OR :all)
      AND (CAST(:category AS text) IS NULL OR category = :category)
    ORDER BY position, id""")  # noqa: S608 - constants

_NUMBERS = text("""
    SELECT coalesce(sum(views), 0) AS views, count(saved_at) AS saves, count(read_at) AS readers
    FROM telegram_user_guide_collections WHERE guide_id = :guide_id""")

_ALL_NUMBERS = text("""
    SELECT guide_id, coalesce(sum(views), 0) AS views, count(saved_at) AS saves, count(read_at) AS readers
    FROM telegram_user_guide_collections GROUP BY guide_id""")

# The event of the last view tells a redelivery from another view.
_VIEW = text("""
    INSERT INTO telegram_user_guide_collections AS known (user_id, guide_id, views, last_view)
    VALUES (:user_id, :guide_id, 1, :cause)
    ON CONFLICT (user_id, guide_id) DO UPDATE SET views = known.views + 1, last_view = excluded.last_view
    WHERE known.last_view IS DISTINCT FROM excluded.last_view""")

_SAVE = text("""
    INSERT INTO telegram_user_guide_collections AS known (user_id, guide_id, saved_at)
    VALUES (:user_id, :guide_id, :at)
    ON CONFLICT (user_id, guide_id) DO UPDATE SET saved_at = coalesce(known.saved_at, excluded.saved_at)""")

_DROP = text("""
    UPDATE telegram_user_guide_collections SET saved_at = NULL
    WHERE user_id = :user_id AND guide_id = :guide_id""")

_READ = text("""
    INSERT INTO telegram_user_guide_collections AS known (user_id, guide_id, read_at)
    VALUES (:user_id, :guide_id, :at)
    ON CONFLICT (user_id, guide_id) DO UPDATE SET read_at = coalesce(known.read_at, excluded.read_at)""")

_COLLECTION = text("""
    SELECT guide_id, saved_at IS NOT NULL AS saved, read_at IS NOT NULL AS read
    FROM telegram_user_guide_collections WHERE user_id = :user_id""")


@dataclass(frozen=True)
class GuideNumbers:
    """How often a guide was opened, by how many it was saved, and by how many marked as read."""

    views: int = 0
    saves: int = 0
    readers: int = 0


@dataclass(frozen=True)
class Collection:
    """The ids of the guides that a person has saved, and of those they have read."""

    saved: frozenset[str]
    read: frozenset[str]


class Guides:
    """Guides and collections, in gateway's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ship(self, guides: Sequence[Guide]) -> None:
        """Add guides that are not there; what somebody has edited or disabled stays as it is."""
        for guide in guides:
            await self._database.execute(_SHIP, **asdict(guide))

    async def create(self, guide: Guide) -> Guide | None:
        """Add a guide; None when its id is taken."""
        row = await self._database.row(_CREATE, **asdict(guide))
        return _read(row) if row else None

    async def change(self, guide: Guide) -> Guide | None:
        """Change a guide; None when there is none of its id."""
        row = await self._database.row(_CHANGE, **asdict(guide))
        return _read(row) if row else None

    async def find(self, guide_id: str) -> Guide | None:
        """Return a guide, or None."""
        row = await self._database.row(_FIND, id=guide_id)
        return _read(row) if row else None

    async def all(self, category: Category | None = None, *, disabled_too: bool = False) -> list[Guide]:
        """Return guides (of a category) in their order; disabled ones only where they are wanted."""
        rows = await self._database.rows(_LIST, category=category, all=disabled_too)
        return [_read(row) for row in rows]

    async def numbers(self, guide_id: str) -> GuideNumbers:
        """Return a guide's numbers."""
        row = await self._database.row(_NUMBERS, guide_id=guide_id)
        return GuideNumbers(**row) if row else GuideNumbers()

    async def all_numbers(self) -> dict[str, GuideNumbers]:
        """Return the numbers of every guide that somebody has opened, by its id."""
        rows = await self._database.rows(_ALL_NUMBERS)
        return {row["guide_id"]: GuideNumbers(row["views"], row["saves"], row["readers"]) for row in rows}

    async def view(self, user_id: UUID, guide_id: str, cause: UUID) -> None:
        """Count that a person opened a guide, once per event; raises PersonGone, like what follows."""
        await self._write(_VIEW, user_id=user_id, guide_id=guide_id, cause=cause)

    async def save(self, user_id: UUID, guide_id: str, at: datetime) -> None:
        """Put a guide into a person's collection."""
        await self._write(_SAVE, user_id=user_id, guide_id=guide_id, at=at)

    async def drop(self, user_id: UUID, guide_id: str) -> None:
        """Take a guide out of a person's collection; that it was read is kept."""
        await self._database.execute(_DROP, user_id=user_id, guide_id=guide_id)

    async def mark_read(self, user_id: UUID, guide_id: str, at: datetime) -> None:
        """Remember that a person has read a guide."""
        await self._write(_READ, user_id=user_id, guide_id=guide_id, at=at)

    async def collection(self, user_id: UUID) -> Collection:
        """Return what a person has saved and read."""
        rows = await self._database.rows(_COLLECTION, user_id=user_id)
        return Collection(
            frozenset(row["guide_id"] for row in rows if row["saved"]),
            frozenset(row["guide_id"] for row in rows if row["read"]),
        )

    async def _write(self, statement: TextClause, **values: object) -> None:
        with noticing_who_is_gone():
            await self._database.execute(statement, **values)


def _read(row: RowMapping) -> Guide:
    return Guide(
        **{**row, "category": Category(row["category"]), "difficulty": Difficulty(row["difficulty"])}
    )
