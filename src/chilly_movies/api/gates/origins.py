"""Web origins as browsers send them (RFC 6454, section 7), with those of apps' own schemes."""

from __future__ import annotations

import re

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^\s/,?#@\\]*)/?", re.IGNORECASE)
_PORTS = {"http": ":80", "https": ":443"}


def read_origin(text: str) -> str:
    """Returns an origin in the spelling of browsers: lower case, without the scheme's own port.

    Besides `https://films.example` that is `app://chilly` of an Electron page, `tauri://localhost`,
    `capacitor://localhost`, `chrome-extension://` with an id, or `file://`.

    Raises:
        ValueError: it is none, or `null`, which every sandboxed page on the web can have.
    """
    if text.lower() == "null":
        raise ValueError(
            "must not hold null, which pages of anybody can have: give the app's page a scheme of "
            "its own, like app://chilly"
        )
    match = _ORIGIN.fullmatch(text)
    if match is None or (not match[2] and match[1].lower() != "file"):
        raise ValueError("must be origins like https://films.example or app://chilly")
    scheme, host = match[1].lower(), match[2].lower()
    return f"{scheme}://{host.removesuffix(_PORTS.get(scheme, ' '))}"
