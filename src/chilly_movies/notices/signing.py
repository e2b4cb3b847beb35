"""Signs what is delivered (Standard Webhooks 1.0: https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from chilly_movies.errors import InvalidRequest

_PREFIX: Final = "whsec_"
_SECRET: Final = re.compile(r"[!-~]{16,256}")


def check_secret(secret: str) -> str:
    """The secret, if it can be one.

    Raises:
        InvalidRequest: it is too short or long, has spaces, or is no base64 after `whsec_`.
    """
    if not _SECRET.fullmatch(secret):
        raise InvalidRequest(
            "The secret must be 16 to 256 ASCII characters without spaces.", field="secret"
        )
    try:
        key_of(secret)
    except binascii.Error:
        raise InvalidRequest("After 'whsec_' the secret must be base64.", field="secret") from None
    return secret


def key_of(secret: str) -> bytes:
    """The bytes to sign with: those that base64 after `whsec_` stands for, or the text's own.

    Raises:
        binascii.Error: there is no base64 after `whsec_`.
    """
    if secret.startswith(_PREFIX):
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    return secret.encode()


def signed(secret: str, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The header fields of a delivery.

    Args:
        secret: of the webhook.
        delivery_id: the same at each try.
        timestamp: seconds since 1970, of this try.
        body: what is sent, byte for byte.
    """
    content = b"%b.%d.%b" % (delivery_id.encode(), timestamp, body)
    mac = hmac.digest(key_of(secret), content, hashlib.sha256)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
