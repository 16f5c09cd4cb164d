"""Guides over the API."""

from typing import Any

from services.gateway.bot import shipped_guides
from services.gateway.domain.roles import KeyRole

GUIDE = {
    "id": "new_one", "category": "automation", "difficulty": "advanced", "title": "A new *one*",
    "text": "Plain, *bold* and `code`\\.", "position": 9,
}  # fmt: skip


async def test_guides_are_made_edited_and_disabled(gateway: Any) -> None:
    """What an admin saves is what the bot shows; a repeat is the same guide, another of its id is refused."""
    _, listed = await gateway.call("GET", "/guides")
    assert [each["id"] for each in listed["items"]] == [
        each.id for each in sorted(shipped_guides(), key=lambda guide: guide.position)
    ]
    admin = {"role": KeyRole.ADMIN}
    for _ in range(2):
        status, made = await gateway.call("POST", "/guides", json=GUIDE, **admin)
        assert (status, made["title"], made["enabled"], made["views"]) == (201, "A new *one*", True, 0)
    status, _ = await gateway.call("POST", "/guides", json=GUIDE | {"title": "Another"}, **admin)
    assert status == 409
    status, changed = await gateway.call(
        "PATCH", "/guides/new_one", json={"enabled": False, "title": "B"}, **admin
    )
    assert (status, changed["title"], changed["enabled"], changed["text"]) == (200, "B", False, GUIDE["text"])
    _, listed = await gateway.call("GET", "/guides", params={"category": "automation"})
    assert listed["items"] == []
    _, listed = await gateway.call("GET", "/guides", params={"category": "automation", "disabled": "true"})
    assert [each["id"] for each in listed["items"]] == ["new_one"]
    assert (await gateway.call("GET", "/guides/nowhere"))[0] == 404
    assert (await gateway.call("PATCH", "/guides/nowhere", json={"title": "x"}, **admin))[0] == 404


async def test_what_telegram_would_refuse_is_refused_when_it_is_saved(gateway: Any) -> None:
    """A guide that could not be shown is not saved; Telegram's own words say why."""
    admin = {"role": KeyRole.ADMIN}
    for changes, words in (
        ({"text": "5.5"}, "reserved"),
        ({"text": "*open"}, "Can't find end of Bold entity"),
        ({"text": "x" * 4096}, "too long"),
        ({"text": "[a](ftp://x)"}, "links"),
        ({"id": "No"}, "id"),
        ({"category": "cooking"}, "category"),
    ):
        status, problem = await gateway.call("POST", "/guides", json=GUIDE | changes, **admin)
        assert status == 422, changes
        assert words in problem["detail"], problem
    await gateway.call("POST", "/guides", json=GUIDE, **admin)
    for changes in ({"text": "5.5"}, {}, {"title": "x" * 129}):
        assert (await gateway.call("PATCH", "/guides/new_one", json=changes, **admin))[0] == 422
