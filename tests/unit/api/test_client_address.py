"""The client's address, behind proxies that are trusted and others."""

import pytest

from api.client_address import ClientAddresses, share_of

TRUSTED = ClientAddresses(["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32"])


def find(
    forwarded_for: str = "", forwarded: str = "", *, peer: str = "127.0.0.1"
) -> str:
    return TRUSTED.find(peer, forwarded_for, forwarded)


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        ("", "127.0.0.1"),
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.1.2.3", "198.51.100.7"),
        # What the client wrote itself comes first.
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("2001:db9::7", "2001:db9::7"),
        ("[2001:db9::7]:4711", "2001:db9::7"),
        ("2001:DB9:0::7", "2001:db9::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        # The proxy does not know it.
        ("unknown", "127.0.0.1"),
        ("198.51.100.7, unknown, 10.1.2.3", "10.1.2.3"),
        ("198.51.100.7, ", "127.0.0.1"),
        ("<script>", "127.0.0.1"),
        ("," * 5000, "127.0.0.1"),
    ],
)
def test_x_forwarded_for_is_read_from_its_end(forwarded_for, address) -> None:
    assert find(forwarded_for) == address


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("for=198.51.100.7", "198.51.100.7"),
        ("For=198.51.100.7;proto=https;by=10.0.0.1", "198.51.100.7"),
        ('for="198.51.100.7:4711"', "198.51.100.7"),
        ('for="[2001:db9::7]:4711"', "2001:db9::7"),
        ("for=203.0.113.9, for=198.51.100.7, for=10.1.2.3", "198.51.100.7"),
        ("for=_hidden", "127.0.0.1"),
        ("for=198.51.100.7, proto=http", "127.0.0.1"),
        ("nonsense", "127.0.0.1"),
    ],
)
def test_forwarded_is_read_from_its_end(forwarded, address) -> None:
    assert find(forwarded=forwarded) == address


def test_two_headers_that_differ_are_not_believed() -> None:
    assert find("198.51.100.7", "for=203.0.113.9") == "127.0.0.1"
    assert find("198.51.100.7", "for=198.51.100.7") == "198.51.100.7"


@pytest.mark.parametrize(
    "peer", ["198.51.100.1", "2001:db9::1", "", "x", "/run/socket"]
)
def test_a_stranger_cannot_claim_another_address(peer) -> None:
    assert find("203.0.113.9", "for=203.0.113.9", peer=peer) == peer


@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1", "2001:db8::1%eth0"])
def test_a_proxy_is_known_by_each_form_of_its_address(peer) -> None:
    assert find("203.0.113.9", peer=peer) == "203.0.113.9"


def test_nobody_is_trusted_by_default() -> None:
    assert ClientAddresses().find("127.0.0.1", "203.0.113.9", "") == "127.0.0.1"


def test_whoever_connects_to_a_unix_socket_is_trusted_as_unix() -> None:
    assert ClientAddresses(["unix"]).find("", "203.0.113.9", "") == "203.0.113.9"
    assert ClientAddresses(["10.0.0.0/8"]).find("", "203.0.113.9", "") == ""


def test_the_environ_of_a_host_has_it() -> None:
    environ = {"REMOTE_ADDR": "10.0.0.9", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}

    assert TRUSTED.of_environ(environ) == "203.0.113.9"
    assert ClientAddresses().of_environ(environ) == "10.0.0.9"
    assert ClientAddresses().of_environ({}) == ""


def test_the_addresses_of_one_ipv6_network_are_one_client() -> None:
    assert share_of("2001:db8:1:2:3::4") == share_of("2001:db8:1:2::9")
    assert share_of("2001:db8:1:3::4") != share_of("2001:db8:1:2::4")
    assert share_of("198.51.100.7") == "198.51.100.7"
    assert share_of("") == ""
