"""The way a VoipNow account gets its tokens."""

from __future__ import annotations

from providers.http.exchange import Answer
from providers.http.oauth import Login

from .account import VoipnowAccount
from .refusals import error_reason, refusal


def login(account: VoipnowAccount) -> Login:
    """Return the client-credentials grant (docs/providers/voipnow.md), which gives no refresh
    token. The vendor's own clients also send type and redirect_uri, which older servers require.
    """
    address = f"{account.base_url}/oauth/token.php"
    secret = account.client_secret.get_secret_value()
    return Login(
        address=address,
        grant={
            "grant_type": "client_credentials",
            "type": "unifiedapi",
            "redirect_uri": address,
        },
        client={"client_id": account.client_id, "client_secret": secret},
        secrets=(account.client_id, secret),
        refreshes=False,
        advice="check client_id and client_secret: the App's key and secret on the VoipNow server",
        refusal=refusal,
        reason=error_reason,
        has_ended=_has_ended,
    )


def _has_ended(answer: Answer) -> bool:
    """Return whether the token has ended: 401 in the vendor's list, and 403 in the vendor's own
    sample application.
    """
    return answer.status in (401, 403)
