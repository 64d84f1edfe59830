"""Connections that fail: how long to wait for them, and the two kinds of failure that matter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long to wait for servers, and how often to ask again."""

    connect_seconds: float = 20
    read_seconds: float = 60
    """Silence after which a connection counts as dead."""
    attempts: int = 5
    """Attempts in a row that bring next to nothing."""
    pause_seconds: float = 1
    """Before the second attempt; doubles from one to the next."""
    longest_pause_seconds: float = 30


PATIENT = Patience()


class DroppedError(Exception):
    """An attempt ended early; asking the same address again may help."""

    def __init__(self, reason: str, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


class UnreachableError(DroppedError):
    """There was no connection at all."""


class RefusedError(Exception):
    """This address does not give the file."""


@contextmanager
def one_line_reasons(patience: Patience) -> Iterator[None]:
    """Turn the errors of `requests`, and of urllib3 below it, into those that matter here."""
    from requests import exceptions as wrong
    from urllib3.exceptions import HTTPError

    try:
        yield
    except wrong.ConnectTimeout as error:
        raise UnreachableError(f"no connection within {patience.connect_seconds:g} s") from error
    except (wrong.ConnectionError, wrong.Timeout, HTTPError) as error:
        text = str(error)
        if isinstance(error, wrong.SSLError) and "certificate" in text.lower():
            raise RefusedError("its TLS certificate cannot be verified") from error
        if any(word in text for word in ("NewConnection", "NameResolution", "ProxyError", "Unable to connect")):
            raise UnreachableError("no connection") from error
        silent = f"silent for {patience.read_seconds:g} s"
        raise DroppedError(silent if "timed out" in text else "connection lost") from error
    except wrong.RequestException as error:
        raise RefusedError(" ".join(str(error).split())[:200]) from error


@contextmanager
def quiet_about_tls(verify: bool) -> Iterator[None]:
    """No warning about an unverified certificate where the card allows it, because the sha256 is known."""
    import warnings

    with warnings.catch_warnings():
        if not verify:
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        yield
