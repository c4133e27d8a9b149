"""Which addresses may be asked for pictures: a catalogue message is written by others, and must not make us ask our own network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urljoin, urlsplit

from streamrec.pictures.refusals import Refused

#: What some resolvers take for an IPv4 address, such as 127.1 and 0x7f000001.
_NUMBERS: Final = re.compile(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+))*\.?", re.IGNORECASE)
MAX_URL: Final = 4096
_SCHEMES: Final = {"http": 80, "https": 443}
#: IPv6 networks whose addresses lead to the IPv4 address in their last 32 bits.
_TRANSLATED: Final = tuple(map(ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
#: Not global in every version of Python's tables: metadata services, and 6to4 relays.
_NEVER: Final = tuple(map(ip_network, ("169.254.0.0/16", "fd00:ec2::254/128", "100.100.100.200/32", "192.88.99.0/24", "fec0::/10")))


class Guard:
    """Tells which URLs and addresses may be asked; ``allow_private`` are networks that may be asked though they are not public.

    >>> Guard().check_url("https://example.org/a.jpg")
    'https://example.org/a.jpg'
    >>> Guard().forbids("169.254.169.254"), Guard().forbids("::ffff:10.0.0.1"), Guard().forbids("1.1.1.1")
    (True, True, False)
    >>> Guard(allow_private=["10.0.0.0/8"]).forbids("10.0.0.1")
    False
    """

    def __init__(self, *, ports: Sequence[int] = (80, 443), allow_private: Sequence[str] = ()) -> None:
        self._ports = frozenset(ports)
        self._allowed = [ip_network(one) for one in allow_private]

    def check_url(self, url: str) -> str:
        """Return the URL without its fragment; raises Refused unless it may be asked, as far as its text tells."""
        if len(url) > MAX_URL or any(ord(c) <= 0x20 or ord(c) == 0x7F or c == "\\" for c in url):
            raise Refused("url", "too long, or with a blank, a control character or a backslash")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise Refused("url", str(error)) from None
        if parts.scheme not in _SCHEMES:
            raise Refused("url", f"scheme {parts.scheme[:16]!r}")
        if not host or "%" in host:
            raise Refused("url", "no host")
        if "@" in parts.netloc:
            raise Refused("url", "credentials in it")
        if (port or _SCHEMES[parts.scheme]) not in self._ports:
            raise Refused("port", f"port {port or _SCHEMES[parts.scheme]}")
        if _literal(host) is not None:
            self.check_address(host)
        elif _NUMBERS.fullmatch(host):
            raise Refused("url", "an address in a form of its own")
        return url.partition("#")[0]

    def check_redirect(self, url: str, location: str) -> str:
        """Return where ``location`` leads from ``url``; raises Refused unless it may be asked."""
        try:
            target = urljoin(url, location)
        except ValueError as error:
            raise Refused("redirects", str(error)) from None
        if url.startswith("https:") and not target.startswith("https:"):
            raise Refused("redirects", "from https to something else")
        return self.check_url(target)

    def check_address(self, address: str) -> None:
        """Raise Refused unless the address may be asked."""
        if self.forbids(address):
            raise Refused("private_address", address)

    def forbids(self, address: str) -> bool:
        """Tell whether an IP address, as text, must not be asked; what is none must not."""
        found = _literal(address)
        if found is None:
            return True
        if any(found in network for network in self._allowed if network.version == found.version):
            return False
        return any(self._is_private(one) for one in _means(found))

    def _is_private(self, address: IPv4Address | IPv6Address) -> bool:
        if any(address in network for network in self._allowed if network.version == address.version):
            return False
        if any(address in network for network in _NEVER if network.version == address.version):
            return True
        return not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _means(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Return the addresses that one may lead to: IPv4 in the disguise of IPv6 is IPv4, a tunnel is itself and both its ends."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    for network in _TRANSLATED:
        if address in network and int(address) > 1:
            return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    inner = [one for one in (address.sixtofour, *(address.teredo or ())) if one is not None]
    return [address, *inner]
