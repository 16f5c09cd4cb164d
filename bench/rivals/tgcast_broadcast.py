"""tgcast, a broadcast engine with a queue in SQLite: each chat a task, accepted once."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from tgcast import DuplicateKeyError, Task, Telecast

ASK_SECONDS = 0.5
_LEFT = "SELECT count(*) FROM tasks WHERE state IN ('queued', 'leased')"


def main() -> None:
    """Send the text to every chat; what an earlier process has accepted is not accepted again."""
    text, first, count = os.environ["TEXT"], int(os.environ["FIRST"]), int(os.environ["COUNT"])
    store = str(Path(os.environ["FOLDER"]) / "tgcast.db")
    token, url = os.environ["TOKEN"], os.environ["TELEGRAM_API_URL"]
    with Telecast(token, store_dsn=store, telegram_base_url=url) as engine:
        for chat_id in range(first, first + count):
            with contextlib.suppress(DuplicateKeyError):
                engine.enqueue(Task(chat_id, text, idempotency_key=f"{text}:{chat_id}"))
        with contextlib.closing(sqlite3.connect(store)) as tasks:
            while tasks.execute(_LEFT).fetchone()[0]:
                time.sleep(ASK_SECONDS)


if __name__ == "__main__":
    main()
