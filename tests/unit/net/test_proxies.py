"""The proxy setting: what it may look like, and that its secrets stay in it."""

from __future__ import annotations

import pytest

from chilly_movies.net.proxies import Proxy, parse_proxy


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("socks5://127.0.0.1:9050", Proxy("socks5", "127.0.0.1", 9050)),
        ("socks5h://proxy.example:1080/", Proxy("socks5", "proxy.example", 1080)),
        ("http://u:p@proxy.example:3128", Proxy("http", "proxy.example", 3128, "u", "p")),
        ("socks5://u%40x:p%2F%3A@[2001:db8::1]:1", Proxy("socks5", "2001:db8::1", 1, "u@x", "p/:")),
        ("socks5://user@proxy.example:1080", Proxy("socks5", "proxy.example", 1080, "user")),
    ],
)  # fmt: skip
def test_a_proxy_is_read_as_it_is_written(text: str, proxy: Proxy) -> None:
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize(
    "text",
    [
        "", "proxy.example", "proxy.example:1080", "socks4://proxy.example:1080",
        "https://proxy.example:1080", "socks5://proxy.example", "socks5://proxy.example:0",
        "socks5://proxy.example:65536", "socks5://:secret-word@proxy.example:1",
        "socks5://u:secret-word@:1080", "socks5://u:secret word@proxy.example:1080",
        "socks5://proxy.example:1080/path", "socks5://proxy.example:1080?secret-word",
        "socks5://u:secret-word@proxy example:1080", "socks5://" + "u" * 256 + ":p@h.example:1",
        "socks5://a@b@c:1", "socks5://u:p@h.example:1\n",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"must (look|have)") as caught:
        parse_proxy(text)
    assert "secret" not in str(caught.value)


def test_neither_user_nor_password_is_shown() -> None:
    proxy = parse_proxy("http://somebody:pass%2Fword@proxy.example:3128")
    assert "somebody" not in f"{proxy} {proxy.place}"
    assert "pass" not in f"{proxy!r} {proxy.place}"
    assert {"somebody", "pass/word", "pass%2Fword"} <= set(proxy.secrets)
