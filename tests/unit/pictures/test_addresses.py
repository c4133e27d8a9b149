"""What may be asked, by its text and by its address."""

from __future__ import annotations

import pytest

from streamrec.pictures.addresses import Guard
from streamrec.pictures.refusals import Refused


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.jpg",
        "http://example.org:80/a.jpg?x=1",
        "https://bücher.example/ä.jpg",
        "https://1.1.1.1/a.jpg",
        "https://[2606:4700::1111]/a",
    ],
)
def test_public_addresses_may_be_asked(url: str) -> None:
    assert Guard().check_url(url) == url


def test_a_fragment_is_nobodys_business() -> None:
    assert Guard().check_url("https://example.org/a.jpg#top") == "https://example.org/a.jpg"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/a.jpg", "url"),
        ("file:///etc/passwd", "url"),
        ("data:image/png;base64,AAAA", "url"),
        ("javascript:alert(1)", "url"),
        ("//example.org/a.jpg", "url"),
        ("a.jpg", "url"),
        ("http:///a.jpg", "url"),
        ("https://ann:secret@example.org/a.jpg", "url"),
        ("https://ann@example.org/a.jpg", "url"),
        ("https://@example.org/a.jpg", "url"),
        ("https://example.org\\@10.0.0.1/a.jpg", "url"),
        ("https://example.org/a b.jpg", "url"),
        ("https://example.org/\r\nHost: x", "url"),
        ("https://exa%6dple.org/", "url"),
        ("https://[::1/", "url"),
        ("https://example.org:999999/", "url"),
        ("https://example.org/" + "a" * 4096, "url"),
        ("https://example.org:22/a.jpg", "port"),
        ("http://example.org:6379/a.jpg", "port"),
        ("http://127.0.0.1/a.jpg", "private_address"),
        ("http://[::1]/a.jpg", "private_address"),
        ("http://169.254.169.254/latest/meta-data", "private_address"),
        ("http://[::ffff:169.254.169.254]/", "private_address"),
    ],
)
def test_other_urls_are_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        Guard().check_url(url)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "192.168.1.1",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "100.100.100.200",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "::127.0.0.1",
        "2002:7f00:1::", "2002:a00:1::1", "no address", "", "127.1", "0x7f000001",
    ],
)  # fmt: skip
def test_no_address_of_a_network_of_our_own_is_asked(address: str) -> None:
    assert Guard().forbids(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::1.1.1.1"])
def test_public_ones_are(address: str) -> None:
    assert not Guard().forbids(address)


def test_a_private_network_may_be_allowed_and_no_other_with_it() -> None:
    guard = Guard(allow_private=["10.1.0.0/16", "fd00:1::/32"])
    assert not guard.forbids("10.1.2.3")
    assert not guard.forbids("fd00:1::5")
    assert not guard.forbids("::ffff:10.1.2.3")
    assert guard.forbids("10.2.0.1")
    assert guard.forbids("127.0.0.1")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://example.org/b.jpg", "redirects"),
        ("https://10.0.0.1/b.jpg", "private_address"),
        ("https://u:p@example.org/b.jpg", "url"),
        ("https://example.org:8080/", "port"),
        ("//127.0.0.1/", "private_address"),
        ("gopher://example.org/", "redirects"),
    ],
)
def test_a_redirect_is_held_to_the_same(location: str, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        Guard().check_redirect("https://example.org/a.jpg", location)
    assert refused.value.reason == reason


def test_a_redirect_may_be_relative() -> None:
    assert Guard().check_redirect("https://example.org/x/a.jpg", "../b.jpg") == "https://example.org/b.jpg"
