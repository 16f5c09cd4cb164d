"""Which webhook addresses Telegram accepts."""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from devstack.telegram.refusals import bad_request

_PORTS = (443, 80, 88, 8443)


async def check_url(url: str, *, local: bool) -> None:
    """Raise Refused for a webhook URL that Telegram does not take; `local` asks for http and a host only."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise bad_request("invalid webhook URL specified") from None
    if not host or parts.scheme not in ("http", "https"):
        raise bad_request("invalid webhook URL specified")
    if local:
        return
    if parts.scheme != "https":
        raise _bad("An HTTPS URL must be provided for webhook")
    if (port or 443) not in _PORTS:
        raise _bad("Webhook can be set up only on ports 80, 88, 443 or 8443")
    address = await _resolved(host)
    if not ipaddress.ip_address(address).is_global:
        raise _bad(f"IP address {address} is reserved")


async def _resolved(host: str) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
    except OSError:
        raise _bad("Failed to resolve host: Name or service not known") from None
    return str(found[0][4][0])


def _bad(text: str) -> Exception:
    return bad_request(f"bad webhook: {text}")
