"""Taking leave of campaigns by the link in a letter: a page with a button, and one click without it.

RFC 8058: a mailbox provider posts to the link for its user, without a page, a cookie or a login. Who only
looks (a provider's scanner follows every link) changes nothing.
"""

import base64
import hashlib
import string
from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

from aiohttp import web

from shared import metrics
from shared.bus import Bus, NoAnswer
from shared.links import BadLink, Links, unsubscribed_delivery
from shared.queries import UnsubscribeRecipient

_STYLE = (
    "body{font:18px/1.5 system-ui,sans-serif;color:#222;background:#f4f4f5;margin:0}"
    "main{max-width:32rem;margin:12vh auto;padding:2rem;background:#fff;border-radius:12px}"
    "h1{font-size:1.4rem;margin:0 0 .5rem}"
    "button{font:inherit;padding:.7rem 1.4rem;border:0;border-radius:8px;background:#1d4ed8;color:#fff}"
    "@media(max-width:36rem){main{margin:0;border-radius:0}}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#18181b}main{background:#27272a}}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Robots-Tag": "noindex, nofollow",
}
_PAGE = string.Template(
    '<!doctype html><html lang="$language"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>$title</title>'
    f"<style>{_STYLE}</style></head><body><main><h1>$title</h1><p>$text</p>$form</main></body></html>\n"
)
_FORM = string.Template(
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>$button</button></form>"
)
_TEXTS = {
    "en": {
        "ask": ("No more of these letters?", "You will get none of our news by e-mail, Telegram or push. "
                "Messages about your own account still come."),
        "left": ("You are unsubscribed", "You will get no more of our news. You may close this page."),
        "bad": ("This link is not valid", "It may have been cut off. Copy the whole link from the letter."),
        "away": ("Not now", "We could not do it just now. Please try again in a minute."),
        "button": ("Unsubscribe", ""),
    },
    "es": {
        "ask": ("¿No quiere recibir más estos correos?", "No recibirá más novedades por correo, Telegram ni "
                "notificaciones. Los mensajes sobre su propia cuenta seguirán llegando."),
        "left": ("Se ha dado de baja", "No recibirá más novedades. Puede cerrar esta página."),
        "bad": ("Este enlace no es válido", "Puede que esté incompleto. Copie el enlace entero del correo."),
        "away": ("Ahora no", "No hemos podido hacerlo en este momento. Inténtelo de nuevo en un minuto."),
        "button": ("Darse de baja", ""),
    },
}  # fmt: skip


class Leaving:
    """Answers `/u/<token>`; without keys there is no link of ours."""

    def __init__(self, bus: Bus, links: Links | None, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._links = links
        self._now = now

    async def ask(self, request: web.Request) -> web.Response:
        """Show a page with a button; nothing is changed by looking at it."""
        if self._delivery(request) is None:
            return _page(request, "bad", 404)
        return _page(request, "ask")

    async def leave(self, request: web.Request) -> web.Response:
        """Unsubscribe at once, as often as it is asked."""
        delivery_id = self._delivery(request)
        if delivery_id is None:
            return _page(request, "bad", 404)
        # Each click is a cause of its own: who has come back since may leave again.
        command = UnsubscribeRecipient(cause=uuid4(), delivery_id=delivery_id)
        try:
            unsubscribed = await self._bus.ask(command)
        except NoAnswer:
            return _page(request, "away", 503, {"Retry-After": "60"})
        if not unsubscribed.known:
            return _page(request, "bad", 404)
        metrics.UNSUBSCRIBED.inc()
        return _page(request, "left")

    def _delivery(self, request: web.Request) -> UUID | None:
        if self._links is None:
            return None
        try:
            return unsubscribed_delivery(self._links, request.match_info["token"], self._now())
        except BadLink:
            return None


def _page(
    request: web.Request, name: str, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    wanted = request.headers.get("Accept-Language", "")[:2].lower()
    language = wanted if wanted in _TEXTS else "en"
    texts = _TEXTS[language]
    title, text = texts[name]
    form = _FORM.substitute(button=texts["button"][0]) if name in ("ask", "away") else ""
    body = _PAGE.substitute(language=language, title=title, text=text, form=form)
    return web.Response(
        status=status,
        text=body,
        content_type="text/html",
        headers={**_HEADERS, "Content-Language": language, **(headers or {})},
    )
