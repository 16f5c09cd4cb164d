"""The inbox's control API and pages; the table is in the docstring of `devstack.smtp`."""

from aiohttp import web

from devstack.control import control_app, read
from devstack.smtp.faults import SmtpFault
from devstack.smtp.pages import inbox_page, mail_page
from devstack.smtp.postbox import Mail, Postbox, Rules

# What a mail's HTML may do when a person looks at it: show, nothing else.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; frame-src 'self'"


class InboxControl:
    """The handlers of the control API, over one postbox."""

    def __init__(self, postbox: Postbox, certificate: str | None) -> None:
        self._postbox = postbox
        self._certificate = certificate

    def app(self) -> web.Application:
        """Return the application to serve."""
        return control_app(
            "smtp",
            [
                web.get("/messages", self.messages),
                web.get("/counters", self.counters),
                web.get("/faults", self.faults),
                web.post("/faults", self.add_fault),
                web.delete("/faults", self.clear_faults),
                web.get("/rules", self.rules),
                web.put("/rules", self.set_rules),
                web.get("/certificate", self.certificate),
                web.post("/reset", self.reset),
                web.get("/inbox", self.inbox),
                web.get(r"/inbox/{number:\d+}", self.mail),
            ],
        )

    async def messages(self, request: web.Request) -> web.Response:
        """List mails as they came, oldest first; ?to=address for one recipient's."""
        wanted = request.query.get("to")
        mails = [each for each in self._postbox.mails if wanted is None or wanted in each.recipients]
        return web.json_response({"messages": [mail.listing() for mail in mails]})

    async def counters(self, _request: web.Request) -> web.Response:
        """Show what was counted."""
        return web.json_response(self._postbox.counts())

    async def faults(self, _request: web.Request) -> web.Response:
        """List the faults still to happen."""
        return web.json_response({"faults": self._postbox.faults.listing()})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add a fault: stage, kind, code, text, address, seconds, times."""
        self._postbox.faults.add(await read(request, SmtpFault))
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Withdraw all faults."""
        self._postbox.faults.clear()
        return await self.faults(request)

    async def rules(self, _request: web.Request) -> web.Response:
        """Show whether new addresses are greylisted, and which are refused."""
        return web.json_response(self._postbox.rules.model_dump())

    async def set_rules(self, request: web.Request) -> web.Response:
        """Set the rules: greylist (450 at the first attempt for an address), refuse (addresses: 550)."""
        self._postbox.rules = await read(request, Rules)
        return await self.rules(request)

    async def certificate(self, _request: web.Request) -> web.Response:
        """Give the certificate to trust (PEM); 404 without TLS."""
        if self._certificate is None:
            raise web.HTTPNotFound
        return web.Response(text=self._certificate, content_type="application/x-pem-file")

    async def reset(self, request: web.Request) -> web.Response:
        """Forget mails, counters, faults and known addresses; the first rules hold again."""
        self._postbox.reset()
        return await self.counters(request)

    async def inbox(self, _request: web.Request) -> web.Response:
        """Show the mails on a page, for a person."""
        return _page(inbox_page(self._postbox.mails))

    async def mail(self, request: web.Request) -> web.Response:
        """Show a mail on a page: its HTML part in a sandboxed frame, its text part."""
        return _page(mail_page(self._mail(int(request.match_info["number"]))))

    def _mail(self, number: int) -> Mail:
        for mail in self._postbox.mails:
            if mail.number == number:
                return mail
        raise web.HTTPNotFound


def _page(html: str) -> web.Response:
    return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": _POLICY})
