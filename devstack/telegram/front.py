"""The Bot API's HTTP front: paths, tokens, arguments, and the faults that strike a call."""

from http import HTTPStatus

from aiohttp import web

from devstack.telegram import arguments, people
from devstack.telegram.arguments import Arguments
from devstack.telegram.cloud import Call, Cloud
from devstack.telegram.faults import Fault
from devstack.telegram.performing import Answer, chat_named, perform, refusal, remember
from devstack.telegram.refusals import Refused, too_many_requests
from devstack.telegram.world import Bot

_WRONG_TOKEN = {"revoked": (401, "Unauthorized"), "not_found": (404, "Not Found")}
_BEFORE = frozenset({"status_before", "html_502", "retry_after", "revoked", "not_found", "refuse"})
_HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n"
    b"</body>\r\n</html>\r\n"
)


class Front:
    """Answers `/bot<token>/<method>`; the token goes into no record and no log."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        arrived = self._cloud.moment()
        try:
            bot, method = self._route(request)
            given = await _read(request)
        except Refused as refused:
            return _response(refusal(refused))
        call = Call(self._cloud, bot, given, arrived)
        method = method or given.text("method")
        fault = self._cloud.faults.for_call(method, bot.id, chat_named(given))
        if fault is None:
            answer = await perform(call, method)
            remember(call, method, answer.status, answer.description)
            return _response(answer)
        return await self._troubled(request, call, method, fault)

    def _route(self, request: web.BaseRequest) -> tuple[Bot, str]:
        if request.method not in ("GET", "POST"):
            raise Refused(501, "Not Implemented")
        path = request.path
        if not path.startswith("/bot"):
            raise Refused(404, "Not Found")
        token, slash, method = path.removeprefix("/bot").partition("/")
        if not slash:
            raise Refused(404, "Not Found")
        bot = self._cloud.world.bot_of_token(token)
        if bot is None:
            digits, colon, secret = token.partition(":")
            if self._cloud.conditions.front_end:
                raise Refused(404, "Not Found")
            if not (digits.isascii() and digits.isdigit() and colon and secret):
                raise Refused(401, "Unauthorized: invalid token specified")
            raise Refused(401, "Unauthorized")
        return bot, method.removeprefix("test/").rstrip("/")

    async def _troubled(
        self, request: web.BaseRequest, call: Call, method: str, fault: Fault
    ) -> web.StreamResponse:
        """Answer as the fault says, with or without performing the call."""
        clock = self._cloud.clock
        kind = fault.kind
        if kind == "migrate":
            self._migrate(chat_named(call.arguments))
        if kind in ("hidden_wait", "late_success"):
            await clock.sleep(fault.seconds)
        answer = None
        if kind not in _BEFORE and kind != "reset_before":
            answer = await perform(call, method)
        if kind == "slow":
            await clock.sleep(fault.seconds)
        if kind in ("reset_before", "reset_after", "late_success"):
            remember(call, method, 0, "connection reset", kind)
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        told = _told(fault, answer)
        remember(call, method, told.status, told.description, kind)
        html = kind in ("html_502", "html_502_after")
        return _response(told, "text/html" if html else "application/json")

    def _migrate(self, chat_id: int | None) -> None:
        chat = self._cloud.world.chats.get(chat_id or 0)
        if chat is not None and chat.type == "group" and chat.migrated_to is None:
            people.migrate(self._cloud, chat)


def _told(fault: Fault, answer: Answer | None) -> Answer:
    match fault.kind:
        case "html_502" | "html_502_after":
            return Answer(502, _HTML_502, "Bad Gateway")
        case "retry_after":
            return refusal(too_many_requests(fault.seconds))
        case "revoked" | "not_found":
            return refusal(Refused(*_WRONG_TOKEN[fault.kind]))
        case "refuse":
            return refusal(Refused(fault.status, fault.description, fault.parameters))
        case _ if answer is None or fault.kind == "status_after":
            return refusal(Refused(fault.status, _phrase(fault.status)))
        case _:
            return answer


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Internal Server Error"


async def _read(request: web.BaseRequest) -> Arguments:
    try:
        body = await request.read() if request.body_exists else b""
    except web.HTTPRequestEntityTooLarge:
        raise Refused(413, "Request Entity Too Large") from None
    if not body and not request.query_string:
        return Arguments()
    return arguments.read(request.rel_url.raw_query_string, request.headers.get("Content-Type", ""), body)


def _response(answer: Answer, content_type: str = "application/json") -> web.Response:
    headers = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
    return web.Response(status=answer.status, body=answer.body, content_type=content_type, headers=headers)
