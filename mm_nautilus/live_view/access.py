"""Who may see the live page: addresses, names of hosts, the token and what stands for it in a browser."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mm_nautilus.config.sandbox import PrometheusConfig, WebConfig
from mm_nautilus.errors import ConfigError
from mm_nautilus.system.loopback import is_loopback, names_loopback

LEAST_TOKEN_CHARACTERS: Final = 16
_SESSION_WORDS: Final = b"mm_nautilus live page"
_BEARER: Final = "bearer "
"""The scheme of a token, in any case (RFC 9110, section 11.1)."""


@dataclass(frozen=True, slots=True)
class Access:
    """What is asked of a request."""

    is_loopback: bool
    """Whether the page listens on a loopback address, where the host's name in a request has to be one, too: another
    site whose name points here must not read the page."""
    token: str | None
    """What every request has to know, or None."""

    def is_host_allowed(self, header: str | None) -> bool:
        """Return whether a request's ``Host`` is one of the page's names; ports may differ, as tunnels change them."""
        return not self.is_loopback or names_loopback(header)

    def is_token(self, given: str) -> bool:
        """Compare with the token in constant time."""
        return self.token is not None and hmac.compare_digest(
            given.encode(errors="surrogatepass"), self.token.encode()
        )

    @property
    def session(self) -> str:
        """What a browser that has signed in keeps: derived from the token, so that it outlives a restart.

        Source: HMAC-SHA256, RFC 2104.
        """
        return hmac.new((self.token or "").encode(), _SESSION_WORDS, hashlib.sha256).hexdigest()

    def is_bearer(self, authorization: str | None) -> bool:
        """Return whether an ``Authorization`` header has the token."""
        header = authorization or ""
        scheme, token = header[: len(_BEARER)], header[len(_BEARER) :]
        return scheme.lower() == _BEARER and self.is_token(token.strip())

    def is_session(self, cookie: str | None) -> bool:
        """Return whether a cookie is that of a browser that has signed in."""
        return self.token is not None and hmac.compare_digest((cookie or "").encode(), self.session.encode())

    @staticmethod
    def is_same_origin(origin: str | None, host: str | None) -> bool:
        """Return whether a request's ``Origin`` is the page itself: its host and port are those it was sent to."""
        try:
            return bool(origin and host) and urlsplit(origin or "").netloc.lower() == (host or "").lower()
        except ValueError:
            return False


def page_access(config: WebConfig, environment: Mapping[str, str]) -> Access:
    """Return what is asked of requests to a page, whose token is in the environment.

    A ConfigError says that the page needs a token and there is none, or it is too short or cannot stand in a header.
    """
    halts = "web.halt: a live page with a halt button (--web-halt)" if config.halt else None
    return _access("web", "live page", config, environment, needs_token=halts)


def prometheus_access(config: PrometheusConfig, environment: Mapping[str, str]) -> Access:
    """Return what is asked of scrapes; errors are those of `page_access`."""
    return _access("prometheus", "Prometheus endpoint", config, environment)


def refuse_shared(web: WebConfig, prometheus: PrometheusConfig, environment: Mapping[str, str]) -> None:
    """Raise ConfigError if a run's page and its endpoint would have the same port or the same token."""
    if not (web.enabled and prometheus.enabled):
        return
    if web.port == prometheus.port != 0:
        raise ConfigError(
            f"prometheus.port (--metrics-port) must be another port than web.port (--web-port), was {web.port} for both"
        )
    token = environment.get(prometheus.token_variable)
    if token and token == environment.get(web.token_variable):
        raise ConfigError(
            f"the tokens in {prometheus.token_variable} and {web.token_variable} must differ, so that who scrapes "
            "cannot sign in to the live page; they were equal"
        )


def _access(
    key: str,
    noun: str,
    config: WebConfig | PrometheusConfig,
    environment: Mapping[str, str],
    *,
    needs_token: str | None = None,
) -> Access:
    """Return what is asked of requests; `needs_token` says why a token is needed on a loopback address, too."""
    name, loopback = config.token_variable, is_loopback(config.host)
    token = environment.get(name) or None
    least = f"at least {LEAST_TOKEN_CHARACTERS} characters"
    if token is None:
        do = f"needs a token: set the environment variable {name} to {least}; it was not set"
        if not loopback:
            host = f"a {noun} on an address that is no loopback address, was {config.host}"
            raise ConfigError(f"{key}.host: {host}, {do}")
        if needs_token is not None:
            raise ConfigError(f"{needs_token} {do}")
    elif len(token) < LEAST_TOKEN_CHARACTERS:
        raise ConfigError(f"the {noun}'s token in {name} must have {least}, had {len(token)}")
    elif not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigError(
            f"the {noun}'s token in {name} must be letters, digits and signs of ASCII, no spaces"
        )
    return Access(loopback, token)
