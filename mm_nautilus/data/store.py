"""Catalogs in object stores: the one place that makes files for pyarrow and options for the engine of a URL.

Both get the same credentials, from the standard variables of the environment.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import pyarrow as pa
from pyarrow import ArrowException, fs

from mm_nautilus.errors import DataError
from mm_nautilus.system.plain_text import without_passwords
from mm_nautilus.system.store_url import CatalogPath, StoreUrl

_VARIABLES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "s3": {
        "access_key_id": ("AWS_ACCESS_KEY_ID",),
        "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "session_token": ("AWS_SESSION_TOKEN",),
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "allow_http": ("AWS_ALLOW_HTTP",),
    },
    "gs": {"service_account_path": ("GOOGLE_APPLICATION_CREDENTIALS",)},
    "az": {
        "account_name": ("AZURE_STORAGE_ACCOUNT_NAME",),
        "account_key": ("AZURE_STORAGE_ACCOUNT_KEY",),
    },
}
"""By scheme the engine's options, and the variables that have them: the first that is set."""
_NEEDED: Final = {
    "s3": ("access_key_id", "secret_access_key"),
    "gs": ("service_account_path",),
    "az": ("account_name", "account_key"),
}
_SECRETS: Final = ("secret_access_key", "session_token", "account_key")
_DEFAULT_REGION: Final = "us-east-1"
_CONNECT_SECONDS: Final = 3
"""Longest wait for a connection, of which there are up to three attempts."""
_GIVE_UP: Final = timedelta(seconds=15)
_OF_A_STORE: Final = re.compile(r"AWS Error (\w+)|google::cloud|Azure")
_REFUSALS: Final = {
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_SIGNATURE",
    "SIGNATURE_DOES_NOT_MATCH",
    "UNRECOGNIZED_CLIENT",
}


class FileState(NamedTuple):
    """What differs if a file is another one."""

    inode: int
    """0 in a store, which has none."""
    changed_ns: int
    """0 in a store; elsewhere later after any write, whatever time of modification the file is given."""
    modified_ns: int
    size: int


class StorePath(StoreUrl):
    """A file or folder in an object store, with what readers of catalogs use of a `Path`.

    Every method raises a `DataError` if the environment lacks the credentials or the store refuses or does not answer.
    """

    _listed: fs.FileInfo | None = None
    """What the listing that it comes from says of it."""

    @property
    def _key(self) -> str:
        return str(self).partition("://")[2]

    @property
    def _scheme(self) -> str:
        return str(self).partition("://")[0]

    @property
    def _files(self) -> fs.FileSystem:
        return _filesystem(self._scheme, tuple(_options(self).items()))

    def _type(self) -> fs.FileType:
        with self._saying("read"):
            return self._files.get_file_info(self._key).type

    def exists(self) -> bool:
        """Return whether there is an object, or objects below it."""
        return self._type() is not fs.FileType.NotFound

    def is_dir(self) -> bool:
        """Return whether there are objects below it."""
        return self._type() is fs.FileType.Directory

    def glob(self, pattern: str) -> Iterator[Self]:
        """Yield what is below it and matches a pattern such as ``*/*.parquet``."""
        below = fs.FileSelector(self._key, allow_not_found=True, recursive="/" in pattern)
        with self._saying("read"):
            found = self._files.get_file_info(below)
        for info in found:
            path = type(self)(f"{self._scheme}://{info.path}")
            path._listed = info
            if path.relative_to(self).full_match(pattern):
                yield path

    def state(self) -> FileState:
        """Return what differs if the object is another one, by the listing that it comes from or a new one."""
        with self._saying("read"):
            info = self._listed or self._files.get_file_info(self._key)
        return FileState(0, 0, info.mtime_ns or 0, info.size or 0)

    def open_input(self) -> pa.NativeFile:
        """Open the object for reading at any place."""
        with self._saying("read"):
            return self._files.open_input_file(self._key)

    def read_text(self) -> str:
        """Return the object's text."""
        with self._saying("read"), self._files.open_input_stream(self._key) as source:
            return str(source.read().decode())

    def write_text(self, text: str) -> None:
        """Write the object, whole or not at all."""
        with self._saying("written"), self._files.open_output_stream(self._key) as sink:
            sink.write(text.encode())

    def upload(self, file: Path) -> None:
        """Write the object from a file, whole or not at all."""
        local = fs.LocalFileSystem()
        with self._saying("written"):
            fs.copy_files(str(file), self._key, source_filesystem=local, destination_filesystem=self._files)

    def unlink(self) -> None:
        """Remove the object if there is one."""
        if self.exists():
            with self._saying("removed"):
                self._files.delete_file(self._key)

    def missing(self) -> str | None:
        """Return why it does not exist, None where only its path has no objects."""
        bucket = type(self)(*self.parts[:2])
        return None if bucket.exists() else f"there is no bucket {bucket.name}"

    def failure(self, error: Exception) -> str | None:
        """Return what a store means by an error, in one line; None if it is none of a store."""
        text = str(error)
        match = _OF_A_STORE.search(text)
        if match is None:
            return None
        options = _options(self)
        if match[1] in _REFUSALS:
            return f"the store refuses the credentials in {_names(self._scheme)} ({match[1]})"
        if match[1] == "NETWORK_CONNECTION":
            where = options.get("endpoint_url", f"the store in {options.get('region')}")
            return f"{without_passwords(where)} does not answer ({text.rpartition('; Details: ')[2]})"
        if match[1] == "NO_SUCH_BUCKET":
            return f"there is no bucket {self.parts[1]}"
        for secret in (options[name] for name in _SECRETS if name in options):
            text = text.replace(secret, "***")
        return _first_line(text)

    @contextmanager
    def _saying(self, done: str) -> Iterator[None]:
        try:
            yield
        except (ArrowException, OSError) as error:
            reason = self.failure(error) or _first_line(str(error))
            raise DataError(f"{self} cannot be {done}: {reason}") from error


type StoredPath = Path | StorePath
"""A file or folder of a catalog that can be read."""


def stored(place: CatalogPath) -> StoredPath:
    """Return a catalog's place as a path that can be read."""
    return StorePath(place) if isinstance(place, StoreUrl) else place


def open_input(path: StoredPath) -> pa.NativeFile:
    """Open a file for reading at any place; an `OSError` says why a local one cannot be."""
    return path.open_input() if isinstance(path, StorePath) else pa.OSFile(str(path), "rb")


def file_state(path: StoredPath) -> FileState:
    """Return what differs if a file is another one."""
    if isinstance(path, StorePath):
        return path.state()
    found = path.stat()
    return FileState(found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size)


def storage_options(catalog: CatalogPath) -> dict[str, str] | None:
    """Return the engine's options for a store, None for a folder; they hold the credentials.

    A `DataError` says what the environment lacks.
    """
    return dict(_options(catalog)) if isinstance(catalog, StoreUrl) else None


def _options(url: StoreUrl) -> Mapping[str, str]:
    scheme = str(url).partition("://")[0]
    found = {}
    for option, names in _VARIABLES[scheme].items():
        value = next((os.environ[name] for name in names if os.environ.get(name)), None)
        if value is not None:
            found[option] = value
    missing = [_VARIABLES[scheme][option][0] for option in _NEEDED[scheme] if option not in found]
    if missing:
        raise DataError(f"{url} needs credentials in the environment: {' and '.join(missing)} must be set")
    endpoint = without_passwords(found.get("endpoint_url", ""))
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise DataError(f"AWS_ENDPOINT_URL must be a URL such as https://host:9000, was {endpoint}")
    allows_http = found.get("allow_http", "")
    if endpoint.startswith("http:") and allows_http.lower() != "true":
        raise DataError(
            f"AWS_ALLOW_HTTP must be true for {endpoint}, which is not encrypted, was {allows_http or 'not set'}"
        )
    if scheme == "s3":
        found.setdefault("region", _DEFAULT_REGION)
    return MappingProxyType(found)


def _first_line(text: str) -> str:
    return re.split(r"\n| error_info=", text, maxsplit=1)[0]


def _names(scheme: str) -> str:
    return " and ".join(_VARIABLES[scheme][option][0] for option in _NEEDED[scheme])


@cache
def _filesystem(scheme: str, options: tuple[tuple[str, str], ...]) -> fs.FileSystem:
    given = dict(options)
    if scheme == "gs":  # it reads the variable itself
        return fs.GcsFileSystem(retry_time_limit=_GIVE_UP)
    if scheme == "az":
        return fs.AzureFileSystem(given["account_name"], account_key=given["account_key"])
    return fs.S3FileSystem(
        access_key=given["access_key_id"],
        secret_key=given["secret_access_key"],
        session_token=given.get("session_token"),
        region=given["region"],
        endpoint_override=given.get("endpoint_url"),
        connect_timeout=_CONNECT_SECONDS,
    )
