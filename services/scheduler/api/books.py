"""What scheduler answers about its books."""

from services.scheduler.store import books
from shared.bus import Streams
from shared.database import Database
from shared.queries import AuditScheduler, Books
from shared.record.books import balance


async def audit(query: AuditScheduler, database: Database, streams: Streams) -> Books:
    """Compare the tables with what the streams say up to a cut."""
    return await balance(database, streams, query.cut, books.SOURCES, books.LINES)
