"""A client of a venue's control side: one method a command, each returning when it has been carried out."""

import json
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from mm_nautilus.errors import ConfigError, RunFailedError
from mm_nautilus.mock_kraken.commands import COMMANDS

_TIMEOUT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_OK: Final = 200
_BAD_REQUEST: Final = 400


class VenueControl:
    """Steer a local venue: each command of `commands` is a method, with its parameters and its answer.

    Parameters
    ----------
    url
        Its control side, such as ``http://127.0.0.1:40001``.

    Notes
    -----
    Faults with ``seconds`` end by themselves after that time; without, by ``clear_faults``. Prices and sizes are
    exact: text, whole numbers or decimals. Every method raises `ConfigError` where the venue refuses the
    command and `RunFailedError` where it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in COMMANDS:
            raise AttributeError(f"the control side has no command {name}")
        return partial(self._send, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *COMMANDS]

    def wait_for_subscriptions(self, count: int, seconds: float = 30.0) -> None:
        """Wait until so many subscriptions exist, one per channel and pair.

        Raises
        ------
        RunFailedError
            If there are fewer after this time.
        """
        deadline = time.monotonic() + seconds
        while (found := self.state()["subscriptions"]) < count:
            if time.monotonic() > deadline:
                raise RunFailedError(
                    f"the venue has {found} of {count} subscriptions after {seconds:g} seconds"
                )
            time.sleep(_POLL_SECONDS)

    def _send(self, command: str, *words: Any, **parameters: Any) -> Any:
        names = COMMANDS[command].parameters()[: len(words)]
        body = json.dumps(dict(zip(names, words, strict=True)) | parameters, default=str)
        connection = HTTPConnection(
            self._address.hostname or "", self._address.port, timeout=_TIMEOUT_SECONDS
        )
        try:
            connection.request("POST", f"/{command}", body)
            response = connection.getresponse()
            status, answer = response.status, response.read()
        except (OSError, HTTPException) as error:
            raise RunFailedError(f"the venue at {self.url} cannot be reached: {error}") from error
        finally:
            connection.close()
        if status not in (_OK, _BAD_REQUEST):
            raise RunFailedError(f"the venue at {self.url} failed at {command} with HTTP status {status}")
        if status == _BAD_REQUEST:
            raise ConfigError(str(json.loads(answer)["error"]))
        return json.loads(answer)
