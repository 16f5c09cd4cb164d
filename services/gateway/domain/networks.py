"""Where a request comes from, when proxies stand in between."""

import ipaddress
import re
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5}", re.ASCII)


def client_address(
    peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """Return the address of the client: the last one in the chain that is not a trusted proxy.

    `forwarded_for` are the X-Forwarded-For headers in their order; whatever stands before an address that
    is not trusted was written by a stranger. None when the address cannot be read.
    """
    address = _read(peer or "")
    hops = [hop for header in forwarded_for for hop in header.split(",")]
    while address is not None and hops and _is_in(address, trusted):
        address = _read(hops.pop())
    return address


def is_allowed(address: Address | None, allowed: Sequence[Network]) -> bool:
    """Say whether an address is in one of the networks; without networks every address is."""
    return not allowed or (address is not None and _is_in(address, allowed))


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _read(text: str) -> Address | None:
    """Read an address, from which some proxies do not take the port, and IPv6 then stands in brackets."""
    found = _WITH_PORT.fullmatch(text.strip())
    try:
        address = ipaddress.ip_address((found[1] or found[2] if found else text.strip()).partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
