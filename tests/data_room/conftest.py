"""The HTTP server that download tests talk to."""

import threading

import pytest
from data_room.faulty_server import Server


@pytest.fixture
def server(monkeypatch):
    """A running server, reached without any proxy."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("VEMRECON_OFFLINE", raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.go_on.set()
        running.shutdown()
        thread.join()
