"""What the engine's client is answered by the run itself, and what it is sent on to the venue for."""

import json
import threading
import urllib.error
import urllib.request

import pytest

from mm_nautilus.runs.kraken import served_pairs


def test_pairs_are_answered_and_all_else_is_sent_on() -> None:
    entries = {"XRPUSDT": {"wsname": "XRP/USDT"}}
    with served_pairs(entries, "http://127.0.0.1:9/") as url:
        with urllib.request.urlopen(f"{url}/0/public/AssetPairs") as response:  # noqa: S310 - our own address
            assert json.load(response) == {"error": [], "result": entries}
        opener = urllib.request.build_opener(Staying)
        with pytest.raises(urllib.error.HTTPError) as sent_on:
            opener.open(f"{url}/0/public/OHLC?pair=XRPUSDT&interval=1")
    assert sent_on.value.code == 307
    assert sent_on.value.headers["Location"] == "http://127.0.0.1:9/0/public/OHLC?pair=XRPUSDT&interval=1"


def test_the_server_ends_with_its_block_also_where_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), served_pairs({}, "http://127.0.0.1:9"):
        raise ZeroDivisionError
    for thread in threading.enumerate():
        if thread.name == "listing":
            thread.join(60)
            assert not thread.is_alive()


class Staying(urllib.request.HTTPRedirectHandler):
    """Follow no redirection."""

    def redirect_request(self, *_arguments: object) -> None:
        return None
