"""An object store on loopback.

It is in a process of its own, as the engine holds the interpreter's lock while it waits for an answer.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

BUCKET = "bucket"
SECRET = "hunter2-correct-horse-battery"  # noqa: S105 - nobody's
_PROGRAM = """
import sys
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@contextmanager
def object_store(log: int = subprocess.DEVNULL) -> Iterator[str]:
    """Run a store with one bucket and yield its address."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=pipe, stdout=pipe, stderr=log, text=True
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        send(f"{address}/{BUCKET}", "PUT")
        yield address
        server.communicate()


def send(address: str, method: str, body: bytes = b"") -> bytes:
    """Send a request past the package and return the answer."""
    parts = urlsplit(address)
    connection = HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request(method, parts.path, body, {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        assert answer.status < 300, answer.read()
        return answer.read()
    finally:
        connection.close()


def reach(monkeypatch: pytest.MonkeyPatch, address: str, **changes: str | None) -> None:
    """Make the environment lead to a store, and to no other."""
    variables = {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    for name, value in {**variables, **changes}.items():
        if value is not None:
            monkeypatch.setenv(name, value)
