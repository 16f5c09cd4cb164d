"""Where an update comes from."""

import ipaddress

import pytest

from services.gateway.domain.networks import client_address, is_allowed

TELEGRAM = (ipaddress.ip_network("149.154.160.0/20"), ipaddress.ip_network("2001:db8::/32"))
PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("149.154.160.9", [], "149.154.160.9"),
        ("10.0.0.1", ["149.154.160.9"], "149.154.160.9"),
        ("10.0.0.1", ["1.2.3.4, 149.154.160.9"], "149.154.160.9"),
        ("10.0.0.1", ["149.154.160.9", "1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("::1", ["2001:db8::5"], "2001:db8::5"),
        ("::ffff:10.0.0.1", ["::ffff:149.154.160.9"], "149.154.160.9"),
        # Some proxies write the port too.
        ("10.0.0.1", ["149.154.160.9:443"], "149.154.160.9"),
        ("10.0.0.1", ["[2001:db8::5]:443, [::1]"], "2001:db8::5"),
        ("10.0.0.1", ["149.154.160.9:443:1"], None),
        # A stranger's header is not believed.
        ("1.2.3.4", ["149.154.160.9"], "1.2.3.4"),
        ("10.0.0.1", ["149.154.160.9, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["149.154.160.9, nonsense"], None),
        (None, [], None),
        ("", ["149.154.160.9"], None),
    ],
)
def test_client_address(peer: str | None, forwarded: list[str], expected: str | None) -> None:
    """The client is the last address that no trusted proxy vouches for."""
    found = client_address(peer, forwarded, PROXIES)
    assert (str(found) if found else None) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [("149.154.175.255", True), ("149.154.176.0", False), ("2001:db8::1", True), ("2001:db9::1", False)],
)
def test_is_allowed(address: str, expected: bool) -> None:
    """Both families are looked up in their own networks; what cannot be read is not allowed."""
    assert is_allowed(ipaddress.ip_address(address), TELEGRAM) is expected
    assert is_allowed(None, TELEGRAM) is False
    assert is_allowed(None, ()) is True
