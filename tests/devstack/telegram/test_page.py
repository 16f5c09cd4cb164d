"""The page that shows the chats."""

from typing import Any

from devstack.telegram.control.page import rendered
from shared.markdown import Entity


async def _page(street: Any) -> str:
    async with street.http.get(street.telegram.control_url, headers={"Accept": "text/html"}) as response:
        assert response.content_type == "text/html"
        text: str = await response.text()
        return text


async def test_page_shows_messages_as_people_see_them(street: Any) -> None:
    """Bold is bold, a link a link, a button a button, and a message's text is never markup."""
    row = [{"text": "Site <1>", "url": "https://example.com/"}, {"text": "Go", "callback_data": "x"}]
    await street.result(
        "sendMessage",
        chat_id=42,
        text="*Deal* 🚀 [here](https://a.b/) <script>",
        parse_mode="Markdown",
        reply_markup={"inline_keyboard": [row]},
    )
    page = await _page(street)
    assert "<b>Deal</b> 🚀 <a href='https://a.b/'>here</a> &lt;script&gt;" in page
    assert "href='https://example.com/'>Site &lt;1&gt; ↗</a>" in page
    assert "<button>Go</button>" in page


async def test_buttons_and_writing_work_by_form(street: Any) -> None:
    """A form's press and message do what the JSON ones do, and lead back to the page."""
    number = await street.post()
    control = street.telegram.control_url
    press = {"chat_id": 42, "message_id": number, "button": "0", "wait": 0}
    for path, fields in (("/press", press), ("/send", {"chat_id": 42, "text": "hi"})):
        async with street.http.post(control + path, data=fields, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/")
    kinds = [min(update) for update in await street.result("getUpdates")]
    assert kinds == ["callback_query", "message"]


async def test_page_shows_answers_and_obstacles(street: Any) -> None:
    """What a press was answered, and what stands between bot and chat, is on the page."""
    number = await street.post()
    told = await street.control("POST", "/press", chat_id=42, message_id=number, wait=0)
    query_id = told["callback_query_id"]
    await street.result("answerCallbackQuery", callback_query_id=query_id, text="Thanks & bye")
    await street.control("POST", "/chats/42/flags", user_blocked=True)
    page = await _page(street)
    assert "Thanks &amp; bye" in page
    assert "user blocked" in page


def test_overlapping_entities_are_nested_piece_by_piece() -> None:
    """Entities that overlap give well-formed HTML, with offsets in UTF-16 units."""
    entities = (Entity("bold", 0, 4), Entity("italic", 2, 4))
    assert rendered("🚀abcd", entities) == "<b>🚀</b><b><i>ab</i></b><i>cd</i>"
