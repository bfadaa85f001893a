"""Hand one message to one service, in a process of its own: ``python -m mm_nautilus.notifications.sending``.

It reads a JSON object from its standard input and answers with one. Only this process knows a service's URL and loads
Apprise; what Apprise and its libraries say, which may contain the URL, is read for a status code and then dropped. The
process ends itself when a service takes too long, even one that answers a byte at a time.
"""

import json
import os
import re
import sys
import threading
from typing import Any, Final

SECONDS: Final = 20.0
"""Longest time for one message, the start of the process not counted."""
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 10.0
_STATUS: Final = re.compile(r"error=(\d{3})\b")
_REDIRECTS: Final = "3"
"""First digit of the statuses of an answer that sends the asker elsewhere."""
_NO_ANSWER: Final = "it cannot be reached, or did not answer"


def _no_target(self: object, resp: object) -> None:
    """Say that an answer sends nowhere."""


def _loaded(url: str) -> Any:
    """Return the services of a URL, with bounded waits; there are none if Apprise cannot use it.

    No redirect is followed, whatever the URL says: it would take the message's headers, which may be secrets, to
    another server, and leave out the message.
    """
    import apprise  # noqa: PLC0415 - the extra may be missing where only the module's name is needed
    import requests  # noqa: PLC0415

    requests.Session.get_redirect_target = _no_target  # type: ignore[method-assign]
    asset = apprise.AppriseAsset(
        app_id="mm-nautilus",
        app_desc="mm-nautilus",
        async_mode=False,  # in this thread: the process is the one that is given up
        service_timeout=0,
        storage_mode="memory",
    )
    services = apprise.Apprise(asset=asset)
    services.add(url)
    for service in services:
        service.socket_connect_timeout = min(service.socket_connect_timeout, _CONNECT_SECONDS)
        service.socket_read_timeout = min(service.socket_read_timeout, _READ_SECONDS)
    return services


def _unusable(variables: list[str]) -> dict[str, str]:
    """Return why the URLs of some variables cannot be used, by their names."""
    found = {}
    for name in variables:
        count = len(_loaded(os.environ[name]))
        if count != 1:
            found[name] = "holds no URL that Apprise can use" if not count else f"holds {count} URLs, not one"
    return found


def _refusal(variable: str, message: dict[str, str], parent: int) -> str | None:
    """Send a message and return None, or why it was not taken, without any part of the URL."""
    services = _loaded(os.environ[variable])
    if os.getppid() != parent:  # it was killed: the next run sends the message
        os._exit(1)
    result = services.notify(
        title=message["title"], body=message["body"], notify_type=message["level"], body_format="text"
    )
    if result:
        return None
    said = (entry.message for service in result for attempt in service for entry in attempt)
    codes = [found[1] for line in said if (found := _STATUS.search(line)) is not None]
    if not codes:
        return _NO_ANSWER
    if codes[-1].startswith(_REDIRECTS):
        return f"it answers with a redirect (HTTP status {codes[-1]}), which is not followed"
    return f"it answered with HTTP status {codes[-1]}"


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    if "message" in request:
        watchdog = threading.Timer(SECONDS, os._exit, (1,))
        watchdog.daemon = True
        watchdog.start()
        answer: Any = _refusal(request["variable"], request["message"], request["parent"])
    else:
        answer = _unusable(request["variables"])
    sys.stdout.write(json.dumps({"answer": answer}))
    sys.stdout.flush()
    os._exit(0)  # threads of a service's library are not waited for


if __name__ == "__main__":
    main()
