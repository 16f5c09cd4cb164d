"""The guides that ship: a file `<id>.toml` each, the text as MarkdownV2 source."""

import tomllib
from pathlib import Path

from services.gateway.domain.guides import Category, Difficulty, Guide, check_guide


def shipped_guides() -> list[Guide]:
    """Return the guides of a new installation; raises markdown.Refused where Telegram would refuse one."""
    guides = []
    for file in sorted(Path(__file__).parent.glob("*.toml")):
        found = tomllib.loads(file.read_text(encoding="utf-8"))
        guide = Guide(
            id=file.stem,
            category=Category(found["category"]),
            difficulty=Difficulty(found["difficulty"]),
            title=found["title"],
            text=found["text"].strip(),
            position=found["position"],
        )
        check_guide(guide)
        guides.append(guide)
    return guides
