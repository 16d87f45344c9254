"""The Vonage simulator gives tokens as the vendor's gateway does, and remembers each."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .simulators import Simulators
from .visitor import Visitor


@pytest.fixture
def simulators() -> Iterator[Simulators]:
    """An entrance of its own, so that the log holds one test alone."""
    with Simulators() as running:
        yield running


@pytest.fixture
def visitor(simulators: Simulators) -> Iterator[Visitor]:
    """The user of a fresh account, logged in."""
    with Visitor(simulators.vonage.account("john.doe@vbc.prod")) as visiting:
        yield visiting


def test_a_login_answers_as_the_vendor_does(visitor: Visitor) -> None:
    """The password grant gives both tokens and their life; openid adds an id token."""
    granted = visitor.log_in()
    told = {"access_token", "refresh_token", "scope", "token_type", "expires_in"}
    assert set(granted) == told
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 86400)
    visitor.account.expire_tokens()
    assert set(visitor.log_in(scope="openid")) == told | {"id_token"}
    assert visitor.account.login_name == "john.doe"


def test_a_second_login_gets_the_token_that_is_still_valid(visitor: Visitor) -> None:
    """While a token lives it is given out again; told otherwise, a login ends the older one."""
    first = visitor.log_in()
    assert visitor.log_in()["access_token"] == first["access_token"]
    visitor.account.configure(repeated_login="new")
    older = visitor.token
    assert visitor.log_in()["access_token"] != older
    visitor.token = older
    assert visitor.page().json()["fault"]["code"] == 900901


def test_a_refresh_token_works_once_and_ends_the_older_access_token(visitor: Visitor) -> None:
    """Renewal gives two new tokens; the old access token is 401, the old refresh token 400."""
    first = visitor.log_in()
    renewed = visitor.refresh(first["refresh_token"])
    assert renewed.status_code == 200
    assert renewed.json()["refresh_token"] != first["refresh_token"]
    again = visitor.refresh(first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    old = visitor.page()
    assert (old.status_code, old.json()["fault"]["code"]) == (401, 900901)
    visitor.token = renewed.json()["access_token"]
    assert visitor.page().status_code == 200


def test_wrong_credentials_are_refused(simulators: Simulators, visitor: Visitor) -> None:
    """Wrong password, user, client and grant each get OAuth's error; logins are counted with
    their outcome.
    """
    right = {"username": visitor.account.username, "password": visitor.account.password}
    refusals = [
        (right | {"password": "guess"}, "invalid_grant"),
        (right | {"username": "jane.doe@vbc.prod"}, "invalid_grant"),
        (right | {"client_secret": "guess"}, "invalid_client"),
        (right | {"grant_type": "client_credentials"}, "unsupported_grant_type"),
    ]
    for form, error in refusals:
        answer = visitor.grant(**({"grant_type": "password"} | form))
        assert (answer.status_code // 100, answer.json()["error"]) == (4, error)
    answer = visitor.http.post(visitor.configuration["token_url"], json=right)
    assert answer.json()["error"] == "invalid_request"
    assert [r["status"] for r in simulators.log.logins()] == [200, 400, 400, 401]
    assert [r["account"] for r in simulators.log.logins(visitor.account.username)]


def test_the_client_may_name_itself_in_a_basic_header(visitor: Visitor) -> None:
    """Client id and secret are taken from HTTP Basic as well."""
    form = {"grant_type": "password", "username": visitor.account.username}
    form["password"] = visitor.account.password
    client = httpx.BasicAuth(visitor.account.client_id, visitor.account.client_secret)
    url = visitor.configuration["token_url"]
    assert visitor.http.post(url, data=form, auth=client).status_code == 200


def test_a_password_can_be_changed_while_tokens_live_on(visitor: Visitor) -> None:
    """After a change the old password is refused, the token still works."""
    old = visitor.account.password
    visitor.account.change_password("another")
    form = {"grant_type": "password", "username": visitor.account.username}
    assert visitor.grant(password=old, **form).status_code == 400
    assert visitor.grant(password="another", **form).status_code == 200
    assert visitor.page().status_code == 200


def test_tokens_expire_and_are_revoked(visitor: Visitor) -> None:
    """Expired by time, expired by wish, revoked with or without the refresh token: 401."""
    visitor.account.configure(expires_in=0, repeated_login="new")
    assert visitor.log_in()["expires_in"] == 0
    assert visitor.page().status_code == 401
    visitor.account.configure(expires_in=3600)
    granted = visitor.log_in()
    visitor.account.expire_tokens()
    assert visitor.page().status_code == 401
    renewed = visitor.refresh(granted["refresh_token"])
    visitor.token = renewed.json()["access_token"]
    assert visitor.page().status_code == 200
    visitor.account.revoke_tokens()
    assert visitor.page().status_code == 401
    assert visitor.refresh(renewed.json()["refresh_token"]).status_code == 400


def test_a_token_from_the_portal_needs_no_login(visitor: Visitor) -> None:
    """An issued token works without a login and survives renewals, until it is revoked."""
    visitor.token = visitor.account.issue_token()
    issued = visitor.token
    visitor.refresh(visitor.log_in()["refresh_token"])
    visitor.token = issued
    assert visitor.page().status_code == 200
    visitor.account.revoke_tokens()
    assert visitor.page().status_code == 401


def test_every_secret_is_known(simulators: Simulators, visitor: Visitor) -> None:
    """secrets() holds each password, client secret and token there ever was."""
    first = visitor.log_in()
    second = visitor.refresh(first["refresh_token"]).json()
    issued = visitor.account.issue_token()
    old = visitor.account.password
    visitor.account.change_password("new one")
    known = set(simulators.vonage.secrets())
    assert known >= {old, "new one", visitor.account.client_secret, issued}
    for granted in (first, second):
        assert known >= {granted["access_token"], granted["refresh_token"]}
    assert {first["access_token"], second["refresh_token"]} <= set(simulators.log.secrets())
