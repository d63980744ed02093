"""Every request to an object store, one method each. The one module that knows obstore."""

from __future__ import annotations

import errno
import os
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from featurestore.errors import InvalidConfig

_CONNECT_S = 5
_REQUEST_S = 30
_RETRIES = 6
_RETRY_FOR_S = 30
_AT_ONCE = 16
_LISTED_AT_ONCE = 1000
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_LONGEST_MESSAGE = 300

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Status:
    """An object's key, bytes, when it was put (the server's clock, seconds since the epoch), and its entity tag."""

    key: str
    size: int
    modified: float
    tag: str


class Bucket:
    """The objects below one URL. Thread-safe.

    Credentials, region and endpoint come from the environment (AWS_*, GOOGLE_*, AZURE_*) or from `options`, by
    obstore's names. Methods raise FileNotFoundError, FileExistsError and PermissionError, and OSError for whatever
    else befalls a request: then a put may or may not have landed.
    """

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._obstore = _obstore(self.url)
        self._store = self._connected(dict(options or {}), _RETRIES)
        self._one_try = self._connected(dict(options or {}), 0)
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Put the object, whatever was there."""
        content = memoryview(data).cast("B")  # of any other kind it would be taken for an iterable
        self._request(key, lambda: self._obstore.put(self._store, key, content))

    def put_new(self, key: str, data: bytes) -> str:
        """Put the object where none is, and return its tag. One request: what is tried twice may land twice.

        FileExistsError where one is; it may be ours all the same, by a request that was repeated on the way, and
        it may be gone again. Any other error leaves open whether it landed, or will.
        """
        put = self._request(
            key, lambda: self._obstore.put(self._one_try, key, data, mode="create", use_multipart=False)
        )
        return str(put["e_tag"])

    def get(self, key: str) -> tuple[memoryview, Status]:
        """Return the whole object."""

        def fetch() -> tuple[memoryview, Status]:
            found = self._obstore.get(self._store, key)
            return memoryview(found.bytes()), _status(found.meta)

        return self._request(key, fetch)

    def status(self, key: str) -> Status | None:
        """Return the object's attributes, None where there is none."""
        try:
            return _status(self._request(key, lambda: self._obstore.head(self._store, key)))
        except FileNotFoundError:
            return None

    def below(self, folder: str) -> Iterator[Status]:
        """Yield what lies below a folder, in no order. What comes or goes meanwhile may be there or not."""
        stream = iter(self._obstore.list(self._store, folder, chunk_size=_LISTED_AT_ONCE))
        while chunk := self._request(folder, lambda: next(stream, None)):
            yield from map(_status, chunk)

    def folders(self, folder: str) -> list[str]:
        """Return names of the folders in a folder ("" is the URL itself), sorted."""
        found = self._request(folder, lambda: self._obstore.list_with_delimiter(self._store, folder or None))
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])

    def delete(self, keys: Iterable[str]) -> None:
        """Delete these objects, in no order; those that are not there are fine."""
        doomed = list(keys)
        if doomed:
            try:
                self._request(doomed[0], lambda: self._obstore.delete(self._store, doomed))
            except FileNotFoundError:  # some servers say so of one, and stop
                for key in doomed:
                    self._delete_one(key)

    def each(self, function: Callable[[T], U], items: Iterable[T]) -> Iterable[U]:
        """As map(), several at once, and begun at once. Not to be nested."""
        chosen = list(items)
        if len(chosen) < 2:
            return map(function, chosen)
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="featurestore-objects")
        return self._threads.map(function, chosen)

    def _delete_one(self, key: str) -> None:
        try:
            self._request(key, lambda: self._obstore.delete(self._store, key))
        except FileNotFoundError:
            return

    def _connected(self, options: dict[str, str], most_retries: int) -> Any:
        endpoint = options.get("endpoint") or next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
        client = {"connect_timeout": timedelta(seconds=_CONNECT_S), "timeout": timedelta(seconds=_REQUEST_S)}
        plain = {"allow_http": True} if endpoint.startswith("http://") else {}
        retries = {"max_retries": most_retries, "retry_timeout": timedelta(seconds=_RETRY_FOR_S)}
        try:
            return self._obstore.store.from_url(
                self.url, config=options, client_options={**client, **plain}, retry_config=retries
            )
        except (self._obstore.exceptions.BaseError, ValueError, TypeError) as error:
            message = f"base_path {self.url} cannot be used: {_first_line(error)}; see the store's options"
            raise InvalidConfig(message) from error

    def _request(self, key: str, request: Callable[[], T]) -> T:
        """Make a request, and tell what goes wrong as an OSError."""
        known = self._obstore.exceptions
        place = f"{self.url}/{key}"
        try:
            return request()
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "there is no such object or bucket", place) from error
        except (known.AlreadyExistsError, known.PreconditionError) as error:  # Azure says the second
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), place) from error
        except (known.PermissionDeniedError, known.UnauthenticatedError) as error:
            raise PermissionError(errno.EACCES, f"refused: {_first_line(error)}", place) from error
        except (known.NotSupportedError, NotImplementedError) as error:
            raise OSError(errno.ENOTSUP, f"not supported: {_first_line(error)}", place) from error
        except (known.BaseError, OSError, ValueError) as error:
            raise OSError(errno.EIO, _first_line(error), place) from error


def _obstore(url: str) -> types.ModuleType:
    try:
        import obstore  # noqa: PLC0415 - an extra: a store on a disk does without
        import obstore.exceptions  # noqa: PLC0415
        import obstore.store  # noqa: PLC0415
    except ImportError as error:
        raise InvalidConfig(f"base_path {url} needs obstore; install it: pip install 'stressd[objectstore]'") from error
    return obstore


def _status(meta: Mapping[str, Any]) -> Status:
    return Status(meta["path"], meta["size"], meta["last_modified"].timestamp(), str(meta["e_tag"]))


def _first_line(error: Exception) -> str:
    """Return what there is to say: obstore adds its own structures, and a server pages of XML."""
    text = (str(error).strip() or repr(error)).splitlines()[0]
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
