"""A page that shows the chats as people see them: messages rendered, buttons to press, a line to write in."""

from datetime import UTC, datetime
from html import escape
from itertools import islice, pairwise

from devstack.telegram.cloud import Cloud
from devstack.telegram.world import Chat, Message
from shared.markdown import Entity

SHOWN_CHATS = 12
SHOWN_MESSAGES = 15
SHOWN_ANSWERS = 3

_TAGS = {
    "bold": "b",
    "italic": "i",
    "underline": "u",
    "strikethrough": "s",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "expandable_blockquote": "blockquote",
    "spoiler": "mark",
}
_STYLE = """
:root{color-scheme:light dark;
--page:#e6ebee;--card:#fff;--mine:#effdde;--ink:#111;--dim:#6b7680;--key:#3390ec}
@media(prefers-color-scheme:dark){:root{--page:#0e1621;--card:#17212b;--mine:#2b5278;--ink:#f5f5f5;
--dim:#8fa2b4;--key:#6ab3f3}}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.4 system-ui,sans-serif}
header{padding:14px 20px 0}h1{font-size:19px;margin:0}p{margin:4px 0;color:var(--dim)}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:14px;padding:14px 20px}
section{background:var(--card);border-radius:12px;padding:12px;display:flex;flex-direction:column}
h2{font-size:15px;margin:0}small{color:var(--dim)}ol{list-style:none;margin:10px 0;padding:0;flex:1}
li{margin:8px 0}.text{background:var(--page);border-radius:12px;padding:8px 11px;white-space:pre-wrap;
overflow-wrap:anywhere}.bot .text{background:var(--mine)}pre,blockquote{margin:4px 0;display:inline-block}
blockquote{border-left:3px solid var(--key);padding-left:8px}.row{display:flex;gap:4px;margin-top:4px}
.row>*{flex:1}button,.link{width:100%;box-sizing:border-box;display:block;text-align:center;font:inherit;
padding:7px;border:0;border-radius:8px;background:var(--key);color:#fff;cursor:pointer;text-decoration:none}
.write{display:flex;gap:6px}.write input{flex:1;min-width:0;font:inherit;padding:6px 9px;border-radius:8px;
border:1px solid var(--dim);background:none;color:inherit}.write button{width:auto}
.flag{color:#d33}.answers{grid-column:1/-1;background:var(--mine)}
"""
_SCRIPT = """
setInterval(async () => {
  if (document.querySelector("input:focus")) return;
  const html = await (await fetch("/", {headers: {Accept: "text/html"}})).text();
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("main");
  document.querySelector("main").innerHTML = fresh.innerHTML;
}, 2000);
"""


def page(cloud: Cloud) -> str:
    """Return the page as HTML; it refreshes itself while nobody types."""
    bots = ", ".join(f"@{escape(bot.user.username or '')}" for bot in cloud.world.bots.values())
    chats = "".join(_chat(chat) for chat in islice(cloud.world.chats.values(), SHOWN_CHATS))
    more = max(0, len(cloud.world.chats) - SHOWN_CHATS)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Simulated Telegram</title>"
        "<meta name=viewport content='width=device-width'>"
        f"<style>{_STYLE}</style><header><h1>Simulated Telegram</h1>"
        f"<p>What people see of {bots or 'no bot yet'}. Press a button, or write as the user of a chat.</p>"
        f"</header><main>{_answers(cloud)}{chats}{f'<p>… and {more} more chats</p>' if more else ''}</main>"
        f"<script>{_SCRIPT}</script></html>"
    )


def _answers(cloud: Cloud) -> str:
    answers = cloud.records.answers
    shown = [
        f"<p>{_time(each.at.time)} · {escape(each.text or 'answered without a text')}"
        + (f" · opens {escape(each.url)}" if each.url else "")
        for _, each in answers.since(answers.total - SHOWN_ANSWERS)
    ]
    if not shown:
        return ""
    return f"<section class=answers><h2>Answers to presses</h2>{''.join(reversed(shown))}</section>"


def _chat(chat: Chat) -> str:
    name = chat.user.first_name if chat.user else chat.title
    flags = " ".join(sorted({flag.replace("_", " ") for flag, _ in chat.flags}))
    if chat.migrated_to:
        flags += f" now {chat.migrated_to}"
    last = list(islice(reversed(chat.messages.values()), SHOWN_MESSAGES))
    messages = "".join(_message(each) for each in reversed(last)) or "<li><small>nothing yet</small>"
    return (
        f"<section><h2>{escape(name or '')} <small>{chat.type} {chat.id}</small>"
        f" <small class=flag>{escape(flags)}</small></h2><ol>{messages}</ol>"
        f"<form class=write method=post action=/send><input type=hidden name=chat_id value={chat.id}>"
        "<input name=text placeholder='/start' required autocomplete=off>"
        "<button>Send</button></form></section>"
    )


def _message(message: Message) -> str:
    who = "bot" if message.bot_id else "user"
    text = rendered(message.text, message.entities) if message.text else "<i>service message</i>"
    rows = (message.reply_markup or {}).get("inline_keyboard", ())
    place, keyboard = 0, ""
    for row in rows:
        keyboard += "<div class=row>"
        for button in row:
            keyboard += _button(message, button, place)
            place += 1
        keyboard += "</div>"
    edited = "edited " if message.edit_date else ""
    return (
        f"<li class={who}><div class=text>{text}</div>{keyboard}"
        f"<small>{edited}{_time(message.date)} · {message.id}</small>"
    )


def _button(message: Message, button: dict[str, str], place: int) -> str:
    if "url" in button:
        return f"<a class=link target=_blank href='{escape(button['url'])}'>{escape(button['text'])} ↗</a>"
    at = {"chat_id": message.chat.id, "message_id": message.id, "bot_id": message.bot_id}
    fields = {**at, "button": place, "wait": 2}
    hidden = "".join(f"<input type=hidden name={name} value={value}>" for name, value in fields.items())
    return f"<form method=post action=/press>{hidden}<button>{escape(button['text'])}</button></form>"


def rendered(text: str, entities: tuple[Entity, ...]) -> str:
    """Return a text as HTML, cut at every border of an entity since entities overlap."""
    units = text.encode("utf-16-le", "surrogatepass")
    borders = sorted({0, len(units) // 2, *(e.offset for e in entities), *(e.end for e in entities)})
    html = ""
    for start, end in pairwise(borders):
        piece = escape(units[2 * start : 2 * end].decode("utf-16-le", "replace"))
        for entity in reversed([e for e in entities if e.offset <= start and end <= e.end]):
            piece = _wrapped(piece, entity)
        html += piece
    return html


def _wrapped(piece: str, entity: Entity) -> str:
    if entity.type == "text_link" and (entity.url or "").startswith(("http://", "https://", "tg://")):
        return f"<a href='{escape(entity.url or '')}'>{piece}</a>"
    tag = _TAGS.get(entity.type)
    return f"<{tag}>{piece}</{tag}>" if tag else piece


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"
