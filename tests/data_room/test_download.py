"""Downloads from servers that break, stall, lie and change their files."""

import json
import signal
import subprocess
import sys
import threading

import pytest
from data_room.faulty_server import Served, digest, noise

from vemrecon.data.card import RemoteFile
from vemrecon.data.remote.connection import Patience
from vemrecon.data.remote.download import UnavailableError, download
from vemrecon.errors import OutputError

BODY = noise(300_000)
SHA256 = digest(BODY)
QUICK = Patience(connect_seconds=1, read_seconds=0.3, attempts=3, pause_seconds=0.01)


@pytest.fixture
def get(server, tmp_path):
    """Function that downloads `raw.h5`; gives its bytes. What was said is in `get.said`, the target is `get.path`."""

    def download_it(url=None, sha256=SHA256, mirrors=(), **facts):
        file = RemoteFile("raw.h5", url=url or server.url("raw.h5"), mirrors=tuple(mirrors), **facts)
        found = download(file, get.path, sha256=sha256, say=get.said.append, progress=get.progress, patience=QUICK)
        assert not get.part.exists() and not get.note.exists()
        data = get.path.read_bytes()
        assert found == digest(data)
        return data

    get = download_it
    get.path, get.said, get.told = tmp_path / "raw.h5", [], []
    get.part, get.note = tmp_path / "raw.h5.part", tmp_path / "raw.h5.part.json"
    get.progress = lambda done, total: get.told.append((done, total))
    return get


def starts(server):
    """Byte that each request began with."""
    return [int(asked[6:-1]) if asked else 0 for asked in server.ranges]


def test_a_file_arrives_and_progress_is_told(server, get):
    server.serve("raw.h5", BODY)
    assert get() == BODY
    assert get.told[0] == (0, len(BODY)) and get.told[-1] == (len(BODY), len(BODY))
    assert server.ranges == [None] and get.said == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_dropped_connection_goes_on_with_the_missing_bytes_only(server, get, chunked):
    server.serve("raw.h5", BODY, chunked=chunked, faults=[{"cut": 120_000}, {"cut": 90_000}])
    assert get() == BODY
    first, second, third = starts(server)
    assert first == 0 < second < third
    assert server.sent[-1] == len(BODY) - third
    assert sum(server.sent) < len(BODY) + 3 * 65_536
    assert all(headers["If-Range"] == '"one"' for _, headers in server.seen[1:])
    assert len(get.said) == 2 and all("connection lost" in line for line in get.said)


def test_a_stalled_server_is_left_and_asked_again(server, get):
    server.serve("raw.h5", BODY, faults=[{"stall": 150_000}])
    assert get() == BODY
    assert 0 < starts(server)[1] <= 150_000
    assert "silent for 0.3 s" in get.said[0]


def test_a_server_that_ignores_ranges_sends_the_file_anew(server, get):
    server.serve("raw.h5", BODY, ranges=False, faults=[{"cut": 150_000}])
    assert get() == BODY
    assert server.ranges[1] is not None and server.sent[1] == len(BODY)


def test_a_file_that_changes_between_attempts_is_not_mixed(server, get):
    new = noise(280_000, seed=1)
    server.serve("raw.h5", BODY, faults=[{"cut": 150_000, "then": Served(new, etag='"two"')}])
    assert get(sha256="") == new
    assert server.ranges[1] is not None and server.sent[1] == len(new)


def test_a_server_that_ignores_if_range_does_not_mix_files(server, get):
    new = Served(noise(len(BODY), seed=1), etag='"two"', if_range=False)
    server.serve("raw.h5", BODY, faults=[{"cut": 150_000, "then": new}])
    assert get(sha256="") == new.body
    assert server.ranges[1] is not None and server.ranges[2] is None
    assert "changed on the server" in get.said[-1]


def test_a_date_is_as_good_as_an_etag(server, get):
    server.serve("raw.h5", BODY, etag="", modified="Mon, 06 Jan 2025 10:00:00 GMT", faults=[{"cut": 150_000}])
    assert get(sha256="") == BODY
    assert starts(server)[1] == 150_000
    assert server.seen[1][1]["If-Range"].startswith("Mon, 06 Jan")


def test_weak_validators_are_not_used_to_go_on(server, get):
    server.serve("raw.h5", BODY, etag='W/"one"', faults=[{"cut": 150_000}])
    assert get(sha256="") == BODY
    assert server.ranges == [None, None]


def test_without_validators_a_known_sha256_still_allows_to_go_on(server, get):
    server.serve("raw.h5", BODY, etag="", faults=[{"cut": 150_000}])
    assert get() == BODY
    assert starts(server)[1] > 0


def test_an_old_part_of_another_file_is_found_out_and_dropped(server, get):
    server.serve("raw.h5", BODY, etag="")
    get.part.write_bytes(noise(100_000, seed=5))
    get.note.write_text(json.dumps({"schema": 1, "url": server.url("raw.h5"), "length": len(BODY)}))
    assert get() == BODY
    assert starts(server) == [100_000, 0]
    assert "wrong file" in get.said[0]


@pytest.mark.parametrize("note", ["", "no json", '{"schema": 1, "surprise": 3}', "[]"])
def test_a_part_whose_note_cannot_be_read_is_not_continued(server, get, note):
    server.serve("raw.h5", BODY)
    get.part.write_bytes(BODY[:1000])
    if note:
        get.note.write_text(note)
    assert get() == BODY
    assert server.ranges == [None]


def test_a_part_that_is_already_whole_is_only_renamed(server, get):
    server.serve("raw.h5", BODY)
    get.part.write_bytes(BODY)
    get.note.write_text(json.dumps({"schema": 1, "url": server.url("raw.h5"), "etag": '"one"', "length": len(BODY)}))
    assert get() == BODY
    assert server.seen == []


def test_416_for_a_whole_part_of_unknown_sha256_ends_the_download(server, get):
    server.serve("raw.h5", BODY)
    get.part.write_bytes(BODY)
    get.note.write_text(json.dumps({"schema": 1, "url": server.url("raw.h5"), "etag": '"one"', "length": len(BODY)}))
    assert get(sha256="") == BODY
    assert server.ranges == [f"bytes={len(BODY)}-"] and server.sent == []


def test_416_for_a_part_that_is_longer_than_the_file_starts_anew(server, get):
    server.serve("raw.h5", BODY)
    get.part.write_bytes(BODY + b"more")
    get.note.write_text(json.dumps({"schema": 1, "url": server.url("raw.h5"), "etag": '"one"'}))
    assert get() == BODY
    assert server.ranges == [f"bytes={len(BODY) + 4}-", None]


@pytest.mark.parametrize("known", [True, False])
def test_a_content_length_that_is_too_long_is_seen_through(server, get, known):
    server.serve("raw.h5", BODY, length=len(BODY) + 500)
    if known:
        assert get() == BODY
        assert server.ranges == [None]
    else:
        assert get(sha256="") == BODY  # the second answer, 416, tells the true length
        assert len(server.seen) == 2


def test_a_content_length_that_is_too_short_is_seen_through_where_the_card_knows_the_size(server, get):
    server.serve("raw.h5", BODY, length=200_000)
    assert get(bytes=len(BODY)) == BODY
    assert starts(server) == [0, 200_000]


def test_a_truncated_file_is_never_taken_for_whole(server, get):
    server.serve("raw.h5", BODY[:200_000])
    with pytest.raises(UnavailableError, match=r"wrong file, sha256"):
        get()
    with pytest.raises(UnavailableError, match=r"ended after 200,000 of 300,000 bytes"):
        get(bytes=len(BODY))
    with pytest.raises(UnavailableError, match=r"ended after 200,000 of 300,000 bytes"):
        get(sha256="", bytes=len(BODY))
    assert not get.path.exists()


def test_a_transfer_without_length_or_end_needs_a_sha256(server, get):
    server.serve("raw.h5", BODY, endless=True)
    assert get() == BODY
    get.path.unlink()
    with pytest.raises(UnavailableError, match="whether the file is whole"):
        get(sha256="")
    server.serve("raw.h5", BODY, chunked=True)
    assert get(sha256="") == BODY


def test_wrong_bytes_are_removed_and_the_next_mirror_is_asked(server, get):
    server.serve("raw.h5", noise(300_000, seed=9))
    mirror = server.serve("mirror.h5", BODY)
    assert get(mirrors=[mirror]) == BODY
    assert [path for path, _ in server.seen] == ["/raw.h5", "/mirror.h5"]
    assert len(get.said) == 1 and "wrong file, sha256" in get.said[0] and "next address" in get.said[0]


@pytest.mark.parametrize("status", [404, 403, 410, 500, 503])
def test_an_address_without_the_file_gives_way_to_the_next_mirror(server, get, status):
    server.serve("raw.h5", BODY, faults=[{"status": status}] * 9)
    assert get(mirrors=[server.serve("mirror.h5", BODY)]) == BODY
    assert len(server.seen) == (QUICK.attempts + 1 if status >= 500 else 2)
    assert f"HTTP {status}" in get.said[-1]


def test_a_busy_server_is_asked_again(server, get):
    server.serve("raw.h5", BODY, faults=[{"status": 503}, {"status": 429}])
    assert get() == BODY
    assert len(server.seen) == 3


def test_a_host_that_cannot_be_reached_is_tried_twice_and_remembered(server, get, tmp_path):
    server.serve("mirror.h5", BODY)
    file = RemoteFile("raw.h5", url="http://127.0.0.1:9/raw.h5", mirrors=(server.url("mirror.h5"),))
    unreachable = set()
    for name in ("a", "b"):
        download(file, tmp_path / name, sha256=SHA256, say=get.said.append, patience=QUICK, unreachable=unreachable)
    assert unreachable == {"127.0.0.1:9"}
    assert [("asking again" in line, "no connection" in line) for line in get.said] == [
        (True, True), (False, True), (False, True),
    ]  # fmt: skip


def test_all_addresses_are_named_when_none_gives_the_file(server, get):
    with pytest.raises(UnavailableError, match=r"127.0.0.1:\d+: HTTP 404; 127.0.0.1:9: no connection"):
        get(mirrors=["http://127.0.0.1:9/x"])
    with pytest.raises(UnavailableError, match="No connection adapters"):
        get(url="nonsense://x/y")


def test_a_web_page_in_place_of_a_file_is_refused_where_no_sha256_would_show_it(server, get):
    server.serve("raw.h5", b"<html>please log in</html>", kind="text/html; charset=utf-8")
    with pytest.raises(UnavailableError, match="web page"):
        get(sha256="")


def test_an_endless_body_is_cut_off_at_the_size_of_the_card(server, get):
    server.serve("raw.h5", BODY, chunked=True)
    with pytest.raises(UnavailableError, match="longer than 100,000 bytes"):
        get(bytes=100_000)
    assert not get.part.exists()


def test_an_unreachable_mirror_does_not_cost_the_part_of_the_first(server, get):
    server.serve("raw.h5", BODY, faults=[{"cut": 200_000}, {"cut": 0}, {"cut": 0}])
    with pytest.raises(UnavailableError):
        get(mirrors=["http://127.0.0.1:9/x"])
    kept = get.part.stat().st_size
    assert kept > 100_000
    assert get() == BODY
    assert starts(server)[-1] == kept


KILLED = """
import sys
from pathlib import Path
from vemrecon.data.card import RemoteFile
from vemrecon.data.remote.download import download
print(download(RemoteFile("raw.h5", url=sys.argv[1]), Path(sys.argv[2]), sha256=sys.argv[3]))
"""


def test_a_killed_download_goes_on_where_it_stopped(server, get):
    url = server.serve("raw.h5", BODY, faults=[{"stall": 200_000}])
    process = subprocess.Popen([sys.executable, "-c", KILLED, url, str(get.path), SHA256])
    pause = threading.Event()
    for _ in range(6000):
        if get.part.exists() and get.part.stat().st_size > 100_000:
            break
        pause.wait(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = get.part.stat().st_size
    assert kept > 100_000 and not get.path.exists()
    assert get() == BODY
    assert starts(server) == [0, kept]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=False)


@pytest.mark.parametrize("chunked", [True, False])
def test_a_full_disk_keeps_the_part_and_more_space_completes_it(server, small_disk, chunked):
    file = RemoteFile("raw.h5", url=server.serve("raw.h5", BODY, chunked=chunked))
    path = small_disk / "raw.h5"
    with pytest.raises(OutputError, match="disk is full"):
        download(file, path, sha256=SHA256, patience=QUICK)
    kept = small_disk / "raw.h5.part"
    size = kept.stat().st_size if kept.exists() else 0
    assert (size > 100_000) == chunked  # with a length it is known before the first byte
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    download(file, path, sha256=SHA256, patience=QUICK)
    assert path.read_bytes() == BODY
    assert starts(server) == [0, size]
