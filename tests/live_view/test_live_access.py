"""Who may see the live page."""

import pytest

from mm_nautilus.core.loopback import is_loopback
from mm_nautilus.core.sandbox_config import WebConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.live_view.access import Access, page_access

TOKEN = "correct-horse-battery"  # noqa: S105
VARIABLE = "MM_NAUTILUS_WEB_TOKEN"
OPEN, CLOSED = Access(is_loopback=True, token=None), Access(is_loopback=False, token=TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_addresses_need_no_token(host: str) -> None:
    assert is_loopback(host)
    assert page_access(WebConfig(host=host), {}) == OPEN


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "localhost.example.org"])  # noqa: S104
def test_other_addresses_need_one(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match=rf"{VARIABLE} to at least 16 characters; it was not set") as error:
        page_access(WebConfig(host=host), {})
    assert f"was {host}" in str(error.value)
    assert page_access(WebConfig(host=host), {VARIABLE: TOKEN}) == CLOSED


def test_a_token_that_is_set_counts_on_loopback_too_and_the_variable_may_have_another_name() -> None:
    config = WebConfig(token_variable="MY_TOKEN")  # noqa: S106
    assert page_access(config, {"MY_TOKEN": TOKEN, VARIABLE: "another one, unused"}).token == TOKEN
    assert page_access(config, {VARIABLE: TOKEN}).token is None
    assert page_access(config, {"MY_TOKEN": ""}).token is None


def test_a_halt_button_needs_a_token_on_loopback_too() -> None:
    with pytest.raises(ConfigError, match=r"halt button \(--web-halt\) needs a token"):
        page_access(WebConfig(halt=True), {})


@pytest.mark.parametrize(
    "token", ["fifteen-letters", "has a space in its midst", "schlüssel-wörter-hier", "a\tb" * 9]
)
def test_poor_tokens_are_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ConfigError) as error:
        page_access(WebConfig(), {VARIABLE: token})
    assert VARIABLE in str(error.value)
    assert token not in str(error.value)


@pytest.mark.parametrize(
    ("header", "is_allowed"),
    [
        ("127.0.0.1:8787", True),
        ("localhost", True),
        ("localhost:9000", True),
        ("[::1]:8787", True),
        ("evil.example:8787", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1@evil.example", False),
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_on_loopback_only_its_own_names_are_answered(header: str | None, is_allowed: bool) -> None:
    assert OPEN.is_host_allowed(header) is is_allowed
    assert CLOSED.is_host_allowed(header)


def test_only_the_whole_token_is_the_token() -> None:
    for wrong in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü" * 20):
        assert not CLOSED.is_token(wrong)
        assert not CLOSED.is_bearer(f"Bearer {wrong}")
    assert CLOSED.is_token(TOKEN)
    assert CLOSED.is_bearer(f"Bearer {TOKEN}")
    for header in (None, "", TOKEN, f"Basic {TOKEN}", f"bearer{TOKEN}"):
        assert not CLOSED.is_bearer(header)
    assert not OPEN.is_token("")
    assert not OPEN.is_bearer("Bearer ")


def test_a_session_is_not_the_token_and_follows_from_it() -> None:
    assert TOKEN not in CLOSED.session
    assert Access(is_loopback=True, token=TOKEN).session == CLOSED.session
    assert Access(is_loopback=True, token=TOKEN + "x").session != CLOSED.session
    assert CLOSED.is_session(CLOSED.session)
    for wrong in (None, "", TOKEN, CLOSED.session[:-1]):
        assert not CLOSED.is_session(wrong)
    assert not OPEN.is_session(OPEN.session)


@pytest.mark.parametrize(
    ("origin", "is_same"),
    [
        ("http://127.0.0.1:8787", True),
        ("https://127.0.0.1:8787", True),
        ("http://127.0.0.1:8788", False),
        ("http://localhost:8787", False),
        ("http://evil.example", False),
        ("null", False),
        ("http://[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_a_change_comes_from_the_page_itself(origin: str | None, is_same: bool) -> None:
    assert Access.is_same_origin(origin, "127.0.0.1:8787") is is_same
