"""Redirects of a file to another place, such as an object store's signed address.

Redirects are followed for files only, never for requests that change anything. A signed address is
a secret: it is sent hidden (`hidden_urls`) and appears in no error. docs/security.md says which
redirects are followed, and to which hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from config.accounts import Account
from config.masking import mask_message
from providers.errors import ProviderError, Rejected, Uncertain, Unreachable

from .deadline import Transport
from .exchange import Answer, connected, exchange
from .hidden_urls import HiddenUrlTransport, hidden_request
from .redaction import drop_frames

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_HOPS = 3
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: Headers of a request for a file that another host may see.
_PASSED_ON = ("range", "if-range")


class _Forbidden(Exception):
    """A host has an address that no file is fetched from."""


class Redirects:
    """Follows the redirects of one account's files, to public addresses and to ``hosts``; must be
    closed.
    """

    def __init__(
        self, account: Account, hosts: Collection[str], transport: httpx.BaseTransport | None
    ) -> None:
        self._account = account
        self._provider = account.provider
        self._own = httpx.URL(account.base_url)
        self._hosts = {_host(self._own), *map(_bare, hosts)}
        wire = transport or Transport(verify=account.verify_tls, judge=self._judge)
        self._http = connected(account, HiddenUrlTransport(wire))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @drop_frames
    def followed(
        self, answer: Answer, request: httpx.Request, *, operation: str, what: str
    ) -> Answer:
        """Return the answer at the end of a file's redirects, or ``answer`` itself without one. The
        caller reads and closes an answer of 200 or 206.

        Raises Rejected for a redirect that is not followed, Uncertain if a target does not give the
        file.
        """
        address, headers = request.url, dict(request.headers)
        for _ in range(_MOST_HOPS):
            if answer.status not in _REDIRECTS:
                return answer
            answer.response.close()
            target = self._target(address, answer, what)
            headers = self._headers(headers, address, target)
            address, answer = target, self._opened(target, headers, operation, what)
            self._refuse_denial(answer, target, what)
        if answer.status in _REDIRECTS:
            answer.response.close()
            raise self._refused(what, f"more than {_MOST_HOPS} redirects in a row")
        return answer

    def _target(self, address: httpx.URL, answer: Answer, what: str) -> httpx.URL:
        """Return the target of a redirect. Raises Rejected for a target that is not followed."""
        location = answer.headers.get("Location", "")
        try:
            target = address.join(location) if location.strip() else None
        except (httpx.InvalidURL, ValueError):
            target = None
        if target is None or not target.host or target.scheme not in ("http", "https"):
            raise self._refused(what, "a redirect with no readable address")
        if target.userinfo:
            raise self._refused(what, "a redirect with a user name in its address")
        is_known = _host(target) in self._hosts
        if target.scheme == "http" and not (is_known and self._own.scheme == "http"):
            raise self._refused(what, f"a redirect to {_shown(target)} that leaves https")
        return target.copy_with(fragment=None)

    @staticmethod
    def _headers(
        headers: Mapping[str, str], address: httpx.URL, target: httpx.URL
    ) -> dict[str, str]:
        """Return the headers for the next place; our token stays only on the same origin."""
        same = (address.scheme, address.host, address.port) == (
            target.scheme,
            target.host,
            target.port,
        )
        names = (*_PASSED_ON, "authorization") if same else _PASSED_ON
        return {name: headers[name] for name in names if name in headers}

    def _opened(
        self, target: httpx.URL, headers: Mapping[str, str], operation: str, what: str
    ) -> Answer:
        failure: ProviderError
        try:
            return exchange(
                self._http,
                hidden_request(self._http, target, headers),
                account=self._account,
                operation=operation,
                what=what,
                streamed=(200, 206),
            )
        except _Forbidden as error:
            failure = self._refused(what, str(error))
        except Unreachable:
            why = f"{what}: {_shown(target)}, to which it is redirected, could not be reached"
            failure = Uncertain(self._provider, why)
        raise failure

    def _refuse_denial(self, answer: Answer, target: httpx.URL, what: str) -> None:
        """Raise an error for a store's refusal. The refusal says nothing about our credentials: the
        store's address may have expired.
        """
        if answer.status in (401, 403):
            why = f"{what}: {_shown(target)}, to which it is redirected, refuses it"
            raise Uncertain(self._provider, f"{why} (HTTP {answer.status})")

    def _judge(self, host: str, addresses: list[str]) -> None:
        """Raise _Forbidden for a host that the account does not name and that is not public."""
        if _bare(host) in self._hosts or all(map(is_public, addresses)):
            return
        raise _Forbidden(
            f"a redirect to {mask_message(host)}, which is not a public address; if the "
            "file should come from there, add the host to download_hosts of the account"
        )

    def _refused(self, what: str, why: str) -> Rejected:
        return Rejected(self._provider, f"{what}: {why}; it was not followed")


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public Internet: not loopback, private,
    link-local, shared (CGNAT), multicast, reserved, or an IPv6 address that stands for an IPv4
    address.
    """
    try:
        found = ip_address(address)
    except ValueError:  # such as an IPv6 address with a zone
        return False
    if isinstance(found, IPv4Address):
        return found.is_global and not found.is_multicast
    return _is_public_ipv6(found)


def _is_public_ipv6(address: IPv6Address) -> bool:
    stands_for_ipv4 = address.sixtofour or address.teredo or address.ipv4_mapped
    return address in _GLOBAL_UNICAST and address.is_global and not stands_for_ipv4


def _host(address: httpx.URL) -> str:
    """Return the host in the form of the request, with other scripts encoded (``xn--``)."""
    return _bare(address.raw_host.decode("ascii"))


def _shown(address: httpx.URL) -> str:
    """Return only the host: path and query of a signed address are its secret."""
    return mask_message(_host(address))


def _bare(host: str) -> str:
    """Return a host's name in one spelling."""
    name = host.lower().strip("[]").rstrip(".")
    try:
        return str(ip_address(name))
    except ValueError:
        return name
