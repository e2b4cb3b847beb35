"""What a source wants before it lets somebody in: user name, password, cookies and headers.

They stay apart from all that is shown: no representation of a value tells them. The forms are those
of RFC 7617 (a user name has no colon), RFC 6265 (cookies) and RFC 9110 (headers).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from chilly_movies.errors import InvalidRequest

CREDENTIALS: Final = ("username", "password", "cookies", "headers")
MAX_SECRET: Final = 4096
"""Characters of a user name, a password, or the value of a cookie or header."""
MAX_SECRETS: Final = 50
"""Cookies, and headers, of one source."""
TOKEN: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z\-]{1,200}$"  # noqa: S105 (a name's form, no secret)
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_USER: Final = re.compile(r"([a-z][a-z0-9+.-]*://)([^/?#\\]*)@(.*)", re.IGNORECASE | re.DOTALL)
_PLAIN_USER: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:\-]*")
_OURS: Final = frozenset(
    ("host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te",
     "trailer", "expect", "range", "if-range", "accept-encoding", "proxy-authorization")
)  # fmt: skip
"""Headers that say how a request is sent; another value would break it."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """What is told to the server of one source, and to nobody else.

    Attributes:
        username: for basic authentication, None if there is none.
        password: the same.
        cookies: name and value of each.
        headers: name and value of each.
    """

    username: str | None = None
    password: str | None = None
    cookies: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __bool__(self) -> bool:
        return self != _NOTHING

    @property
    def has_more_than_a_user(self) -> bool:
        """Whether cookies or headers have to be sent."""
        return bool(self.cookies or self.headers)

    def as_headers(self) -> dict[str, str]:
        """The headers that tell all of it; a header that is given wins over what is made here."""
        made = {}
        if self.username is not None or self.password is not None:
            pair = f"{self.username or ''}:{self.password or ''}".encode()
            made["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if self.cookies:
            made["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies)
        given = {name.lower() for name, _ in self.headers}
        return {k: v for k, v in made.items() if k.lower() not in given} | dict(self.headers)

    def in_link(self, link: str) -> str | None:
        """A link with user name and password in it, for a library that takes them nowhere else.

        None if one of them has a sign that is encoded in links: such a library decodes nothing.
        """
        if self.username is None and self.password is None:
            return link
        scheme, _, rest = link.partition("://")
        user = f"{self.username or ''}:{self.password or ''}"
        return f"{scheme}://{user}@{rest}" if _PLAIN_USER.fullmatch(user) else None


_NOTHING = Secret()


def merged(found: Secret | None, given: Secret) -> Secret | None:
    """What stood in a link and what was given beside it, which wins; None if there is nothing."""
    if found is None:
        return given or None
    return replace(
        given,
        username=found.username if given.username is None else given.username,
        password=found.password if given.password is None else given.password,
    )


def without_user(link: str) -> tuple[str, Secret | None]:
    """A link without the user name and password before its host, and these; None if it has none."""
    parts = _USER.fullmatch(link)
    if parts is None:
        return link, None
    user, colon, password = parts[2].partition(":")
    secret = Secret(unquote(user) or None, unquote(password) if colon else None)
    return parts[1] + parts[3], secret or None


def check_text(text: str, field: str) -> str:
    """A user name or password, if it can be sent.

    Raises:
        InvalidRequest: it is too long, holds a control character, or a user name holds a colon.
    """
    if len(text) > MAX_SECRET or any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
        raise InvalidRequest(
            f"The {field} must have at most {MAX_SECRET} characters, and none that is a control "
            "character.",
            field=field,
        )
    if field == "username" and ":" in text:
        raise InvalidRequest("A user name cannot hold a colon.", field=field)
    return text


def check_pairs(pairs: Mapping[str, str], field: str) -> Mapping[str, str]:
    """Cookies or headers, if they can be sent. No sentence tells a name or a value.

    Args:
        pairs: values by name.
        field: `cookies` or `headers`.

    Raises:
        InvalidRequest: there are too many, or one has a form that none may have.
    """
    if len(pairs) > MAX_SECRETS:
        raise InvalidRequest(f"At most {MAX_SECRETS} {field} may be given.", field=field)
    if any(_is_unfit(name, value, field) for name, value in pairs.items()):
        raise InvalidRequest(
            f"One of the {field} has a name or value that cannot be sent: names are plain words, "
            f"values printable ASCII of at most {MAX_SECRET} characters"
            f"{', without a semicolon' if field == 'cookies' else ''}.",
            field=field,
        )
    if field == "headers" and _OURS & {name.lower() for name in pairs}:
        raise InvalidRequest(
            "Headers that say how a request is sent (Host, Content-Length, Range and the like) "
            "cannot be given.",
            field=field,
        )
    return pairs


def _is_unfit(name: str, value: str, field: str) -> bool:
    well = re.fullmatch(TOKEN, name) and _VALUE.fullmatch(value) and len(value) <= MAX_SECRET
    return not well or value != value.strip() or (field == "cookies" and ";" in value)


def in_pairs(values: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Cookies or headers as a `Secret` keeps them."""
    return tuple((values or {}).items())
