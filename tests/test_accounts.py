"""The accounts: what a table may say, what is refused, and that no secret shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.accounts import Account, Rate
from config.settings import ConfigurationError, load
from providers.gsmblockchain.account import GsmblockchainAccount
from providers.ozeki.account import OzekiAccount
from providers.vonage.account import VonageAccount

GSM = """
[accounts.legal]
provider = "gsmblockchain"
username = "u"
password = "s3cr3t"
timezone = "Europe/Madrid"
max_calls_per_day = 100
max_seconds_per_call = 900
countries = ["ES", "PT"]
"""
VONAGE = """
[accounts.india]
provider = "vonage"
username = "john.doe@vbc.prod"
password = "s3cr3t"
client_id = "c"
client_secret = "s3cr3t"
"""
NIGHTLY = """
[accounts.india.nightly]
timezone = "Asia/Kolkata"
"""
OZEKI = """
[accounts.office]
provider = "ozeki"
base_url = "http://pbx.local:7780"
"""

Read = Callable[..., dict[str, Account]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Load accounts from this text, with these overrides from the environment."""

    def _read(text: str, **overrides: str) -> dict[str, Account]:
        file = tmp_path / "accounts.toml"
        file.write_text(text)
        monkeypatch.setenv("EARWITNESS_ACCOUNTS_FILE", str(file))
        for name, value in overrides.items():
            monkeypatch.setenv(f"EARWITNESS_ACCOUNTS__{name}", value)
        return dict(load(tmp_path / ".env").accounts)

    return _read


def test_defaults_are_the_vendors(read: Read) -> None:
    """Where the vendor has one address for all, none needs to be given."""
    legal, india = read(GSM + VONAGE).values()

    assert isinstance(legal, GsmblockchainAccount)
    assert isinstance(india, VonageAccount)
    assert legal.base_url == "https://sms.gsmblockchain.com"
    assert india.base_url == "https://api.vonage.com/t/vbc.prod/call_recording_india"
    assert india.token_url == "https://api.vonage.com/token"
    assert (legal.alias, legal.rate, legal.timeout_seconds, legal.verify_tls) == (
        "legal",
        None,
        30,
        True,
    )


def test_login_name_is_the_users(read: Read) -> None:
    """The user of an export is the username without its @ part, unless it is given."""
    (india,) = read(VONAGE).values()
    (other,) = read(VONAGE, INDIA__LOGIN_NAME="jane").values()

    assert isinstance(india, VonageAccount)
    assert isinstance(other, VonageAccount)
    assert india.login_name == "john.doe"
    assert other.login_name == "jane"


def test_a_night_has_defaults(read: Read) -> None:
    """A nightly export needs no more than its time zone."""
    (india,) = read(VONAGE + NIGHTLY).values()

    assert isinstance(india, VonageAccount)
    assert india.nightly is not None
    assert india.nightly.at == dt.time(2, 30)
    assert (india.nightly.settle_minutes, india.nightly.catchup_days) == (120, 7)
    assert (india.nightly.delete_after_days, dict(india.nightly.filters)) == (0, {})


def test_the_environment_overrides_any_field(read: Read) -> None:
    """Secrets and everything else can be said outside the file, as deep as it goes."""
    (india,) = read(
        VONAGE + NIGHTLY + 'filters = { extension = "1001", dnis = "5" }\n',
        INDIA__PASSWORD="12345678",
        INDIA__RATE="5/second",
        INDIA__NIGHTLY__AT="03:15",
        INDIA__NIGHTLY__FILTERS__EXTENSION="2002",
    ).values()

    assert isinstance(india, VonageAccount)
    assert india.password is not None
    assert india.password.get_secret_value() == "12345678"
    assert india.rate == Rate(5, 1.0)
    assert india.nightly is not None
    assert india.nightly.at == dt.time(3, 15)
    assert dict(india.nightly.filters) == {"extension": "2002", "dnis": "5"}


def test_lists_and_tables_fit_into_a_variable(read: Read) -> None:
    """Lists are said with commas or as JSON, filters as JSON."""
    legal, india, office = read(
        GSM + VONAGE + NIGHTLY + OZEKI,
        LEGAL__COUNTRIES="FR, PT",
        INDIA__NIGHTLY__FILTERS='{"duration:gte": 1000}',
        OFFICE__ALLOWED_NETWORKS='["192.0.2.0/24", "2001:db8::/32"]',
    ).values()

    assert isinstance(legal, GsmblockchainAccount)
    assert isinstance(india, VonageAccount)
    assert isinstance(office, OzekiAccount)
    assert legal.countries == ("FR", "PT")
    assert india.nightly is not None
    assert dict(india.nightly.filters) == {"duration:gte": 1000}
    assert [str(network) for network in office.allowed_networks] == [
        "192.0.2.0/24",
        "2001:db8::/32",
    ]


def test_a_secret_can_be_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    """A field of an account may lie in the directory of secrets, with a newline at its end."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "earwitness_accounts__india__password").write_text("from a file\n")
    monkeypatch.setenv("EARWITNESS_SECRETS_DIR", str(tmp_path / "secrets"))

    (india,) = read(VONAGE.replace('password = "s3cr3t"\n', "")).values()

    assert isinstance(india, VonageAccount)
    assert india.password is not None
    assert india.password.get_secret_value() == "from a file"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("5/second", Rate(5, 1)), ("30/minute", Rate(30, 60)), ("1000/hour", Rate(1000, 3600))],
)
def test_reads_rates(read: Read, text: str, rate: Rate) -> None:
    """A rate is so many requests in a second, a minute or an hour."""
    (office,) = read(f'{OZEKI}rate = "{text}"\n').values()

    assert office.rate == rate


def test_time_may_be_toml(read: Read) -> None:
    """TOML's own time of day is understood too."""
    (india,) = read(f"{VONAGE}{NIGHTLY}at = 04:05:00\n").values()

    assert isinstance(india, VonageAccount)
    assert india.nightly is not None
    assert india.nightly.at == dt.time(4, 5)


def test_a_token_alone_is_a_way_in(read: Read) -> None:
    """Vonage takes an access token in place of the password grant."""
    (india,) = read('[accounts.india]\nprovider = "vonage"\naccess_token = "s3cr3t"\n').values()

    assert isinstance(india, VonageAccount)
    assert india.username is None


@pytest.mark.parametrize("host", ["Files.example", "192.0.2.7", "[2001:DB8::7]", "2001:db8::7"])
def test_a_host_may_be_a_name_or_an_address(read: Read, host: str) -> None:
    """What a RecordURL may name beside the server's own host."""
    (office,) = read(f'{OZEKI}recording_hosts = ["{host}"]\n').values()

    assert isinstance(office, OzekiAccount)
    assert office.recording_hosts == (host.lower(),)


def test_addresses_are_made_alike(read: Read) -> None:
    """A trailing slash and capitals in the host make no other provider."""
    (office,) = read(OZEKI.replace("http://pbx.local:7780", "HTTP://PBX.Local:7780/")).values()

    assert office.base_url == "http://pbx.local:7780"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GSM.replace("gsmblockchain", "twilio"), ("accounts.legal.provider", "voipnow")),
        (GSM.replace('provider = "gsmblockchain"', ""), ("accounts.legal.provider", "missing")),
        (GSM + 'pasword = "s3cr3t"\n', ("accounts.legal.pasword", "password")),
        (GSM + 'alias = "x"\n', ("accounts.legal.alias", "remove")),
        (
            GSM.replace('password = "s3cr3t"', ""),
            ("accounts.legal.password", "EARWITNESS_ACCOUNTS__LEGAL__PASSWORD"),
        ),
        (GSM.replace('"s3cr3t"', '""'), ("accounts.legal.password", "empty")),
        (GSM.replace('"s3cr3t"', '" "'), ("accounts.legal.password", "empty")),
        (GSM.replace('"s3cr3t"', "5"), ("accounts.legal.password", "string")),
        (GSM.replace("Europe/Madrid", "Europe/Madird"), ("accounts.legal.timezone", "IANA")),
        (GSM.replace("Europe/Madrid", "Europe"), ("accounts.legal.timezone", "IANA")),
        (GSM.replace("Europe/Madrid", "../etc"), ("accounts.legal.timezone", "IANA")),
        (GSM.replace("max_calls_per_day = 100", ""), ("accounts.legal.max_calls_per_day",)),
        (GSM.replace("100", "-1"), ("accounts.legal.max_calls_per_day", "greater")),
        (GSM.replace('["ES", "PT"]', '["Spain"]'), ("accounts.legal.countries.0",)),
        (GSM.replace('["ES", "PT"]', "[]"), ("accounts.legal.countries",)),
        (
            GSM.replace('countries = ["ES", "PT"]\n', ""),
            (
                "accounts.legal.countries is missing: give the countries",
                "EARWITNESS_ACCOUNTS__LEGAL__COUNTRIES",
            ),
        ),
        (GSM + 'rate = "5"\n', ("accounts.legal.rate", "5/second")),
        (GSM + 'rate = "0/second"\n', ("accounts.legal.rate", "5/second")),
        (GSM + 'rate = "5/day"\n', ("accounts.legal.rate", "5/second")),
        (GSM + "timeout_seconds = 0\n", ("accounts.legal.timeout_seconds", "greater")),
        (GSM + "timeout_seconds = inf\n", ("accounts.legal.timeout_seconds", "finite")),
        *(
            (
                f'[accounts.india]\nprovider = "vonage"\naccess_token = "{token}"\n',
                ("accounts.india.access_token", "a token cannot have"),
            )
            for token in ("s3cr3t-\u00f1", "s3cr3t\\n", "s3cr3t\\u0000")
        ),
        (GSM + 'base_url = "sms.example.com"\n', ("accounts.legal.base_url", "https://")),
        (
            GSM + 'base_url = "https://u:s3cr3t@h"\n',
            ("accounts.legal.base_url", "use the fields for those"),
        ),
        (
            GSM + 'base_url = "https://h/?a=s3cr3t"\n',
            ("accounts.legal.base_url", "remove that part"),
        ),
        (GSM.replace("legal", "Legal"), ("Legal", "lower-case")),
        (GSM.replace("legal", "a__b"), ("a__b", "single underscores")),
        (GSM.replace("legal", "a" * 41), ("40 characters",)),
        (GSM.replace("legal", "1st"), ("1st", "letter first")),
        (GSM + GSM.replace("legal", "other"), ("accounts.other", "accounts.legal", "same login")),
        (OZEKI + OZEKI.replace("office", "other"), ("accounts.other", "accounts.office")),
        (
            GSM
            + GSM.replace("legal", "other")
            + 'base_url = "https://sms.gsmblockchain.com:443"\n',
            ("accounts.other", "accounts.legal", "same login"),
        ),
        (OZEKI + 'username = "u"\n', ("accounts.office", "password")),
        (OZEKI + 'control = "sip"\n', ("accounts.office.control", "'http'")),
        (OZEKI + 'allowed_networks = ["pbx"]\n', ("accounts.office.allowed_networks.0",)),
        *(
            (
                OZEKI + f'recording_hosts = ["{host}"]\n',
                ("accounts.office.recording_hosts.0", "not a host"),
            )
            for host in ("http://files.example", "files.example:7780", "münchen.example", "a b")
        ),
        (OZEKI.replace("base_url", "url"), ("accounts.office.base_url", "missing")),
        (VONAGE.replace('client_id = "c"', ""), ("accounts.india", "client_id")),
        (VONAGE + 'access_token = "s3cr3t"\n', ("accounts.india", "access_token alone")),
        (VONAGE + NIGHTLY + 'at = "25:00"\n', ("accounts.india.nightly.at", "02:30")),
        (VONAGE + NIGHTLY + 'at = "2:30"\n', ("accounts.india.nightly.at", "02:30")),
        (VONAGE + NIGHTLY + 'when = "02:30"\n', ("accounts.india.nightly.when", "settle_minutes")),
        (
            VONAGE + NIGHTLY.replace("Asia/Kolkata", "IST5"),
            (
                "accounts.india.nightly.timezone",
                "EARWITNESS_ACCOUNTS__INDIA__NIGHTLY__TIMEZONE",
            ),
        ),
        (VONAGE + NIGHTLY + "filters = { dinis = 1 }\n", ("nightly.filters", "dinis", "dnis")),
        (
            VONAGE + NIGHTLY + 'filters = { "start:gte" = "2026-01-01" }\n',
            ("nightly.filters", "the day decides"),
        ),
        (VONAGE + NIGHTLY + "filters = { dnis = true }\n", ("nightly.filters", "dnis")),
        (VONAGE + NIGHTLY + "delete_after_days = 30\n", ("accounts.india", "allow_delete")),
        (
            '[accounts.india]\nprovider = "vonage"\naccess_token = "s3cr3t"\n' + NIGHTLY,
            ("accounts.india", "login_name"),
        ),
        (VONAGE + "nightly = 5\n", ("accounts.india.nightly",)),
        ("[acounts.legal]\n", ("acounts", "[accounts.<alias>]")),
        ("accounts = 5\n", ("accounts is wrong",)),
        ("[accounts]\nlegal = 5\n", ("accounts.legal",)),
        ("[accounts.legal\n", ("EARWITNESS_ACCOUNTS_FILE", "line 1")),
    ],
)
def test_refuses_with_the_field_and_the_remedy(
    read: Read, text: str, words: tuple[str, ...]
) -> None:
    """What is wrong is refused with the field's name, in words, and without any secret."""
    with pytest.raises(ConfigurationError) as refused:
        read(text)

    for word in words:
        assert word in str(refused.value)
    assert "s3cr3t" not in repr(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("INDAI__PASSWORD", "s3cr3t", "accounts.indai.provider"),
        ("INDIA__PASWORD", "s3cr3t", "accounts.india.pasword"),
        (
            "INDIA__PASSWORD",
            "",
            "EARWITNESS_ACCOUNTS__INDIA__PASSWORD (in the environment) is empty",
        ),
        ("INDIA__PASSWORD__NEW", "s3cr3t", "accounts.india.password"),
        ("INDIA__NIGHTLY__AT", "noon", "accounts.india.nightly.at"),
        ("INDIA__", "s3cr3t", "not a setting"),
    ],
)
def test_refuses_wrong_overrides(read: Read, name: str, value: str, words: str) -> None:
    """A mistyped alias or field in the environment is refused and not passed over."""
    with pytest.raises(ConfigurationError) as refused:
        read(VONAGE + NIGHTLY, **{name: value})

    assert words in str(refused.value)
    assert "s3cr3t" not in repr(refused.value)


def test_cannot_be_changed(read: Read) -> None:
    """Accounts are frozen all the way down."""
    (india,) = read(VONAGE + NIGHTLY).values()

    assert isinstance(india, VonageAccount)
    assert india.nightly is not None
    with pytest.raises(ValidationError):
        india.allow_delete = True  # type: ignore[misc]
    with pytest.raises(ValidationError):
        india.nightly.catchup_days = 0  # type: ignore[misc]
    with pytest.raises(TypeError):
        india.nightly.filters["dnis"] = "1"  # type: ignore[index]


def test_shows_no_secret(read: Read) -> None:
    """Neither repr nor str nor a dump of an account shows a password."""
    (india,) = read(VONAGE).values()

    for shown in (repr(india), str(india), india.model_dump_json(), repr(india.model_dump())):
        assert "s3cr3t" not in shown
