"""The warm process: has imported what runs need, and forks a process for each of them, which then starts at once.

`python -m vemrecon.bench.executors.warm SOCKET`, begun by `WarmProcess`. Over the socket come orders, each with two
pipes: one that the process ends with, and one for its messages. Back go the numbers of processes, and how they ended.

It runs no thread and touches no GPU before it forks. Every process leads a group of its own, so that whatever it
begins ends with it.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from vemrecon.processes import end_with_parent

MODULES = (
    "filelock",
    "lightning.pytorch",
    "msgspec",
    "scipy.ndimage",
    "torchmetrics.functional.image",
    "zarr",
    "vemrecon.bench.phases",
    "vemrecon.bench.references",
    "vemrecon.bench.scoring",
    "vemrecon.bench.sections",
    "vemrecon.bench.trainings",
    "vemrecon.bench.worker",
    "vemrecon.degradations.realistic",
    "vemrecon.degradations.released",
    "vemrecon.fit.shared_stages",
    "vemrecon.fit.stages",
    "vemrecon.infer.reconstruct",
    "vemrecon.methods.build",
    "vemrecon.metrics.evaluate",
)
"""What nearly every run imports."""
FAILED = 1
MOST = 1 << 16  # bytes of an order


def main(descriptor: int) -> NoReturn:
    """Fork until the other end of the socket is closed; then end all that was forked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked for runs decides what becomes of them
    channel = socket.socket(fileno=descriptor)
    channel.setblocking(True)
    load()
    begun: set[int] = set()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    with selectors.DefaultSelector() as ready:
        ready.register(channel, selectors.EVENT_READ)
        ready.register(ours, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is ours:
                    with suppress(BlockingIOError):
                        ours.recv(MOST)
                    for number, code in ended(begun):
                        _say(channel, {"ended": number, "code": code})
                    continue
                data, pipes, _, _ = socket.recv_fds(channel, MOST, 2)
                if not data:
                    for number in begun:
                        end_group(number)
                    os._exit(0)  # taking the libraries down takes seconds
                number = os.fork()
                if number == 0:
                    ready.close()
                    for end in (ours, theirs, channel):
                        end.close()
                    forked(json.loads(data), *pipes)
                begun.add(number)
                for pipe in pipes:
                    os.close(pipe)
                _say(channel, {"begun": number})


def load() -> None:
    """Import what nearly every run imports, and look once at what was installed and checked out."""
    for name in MODULES:
        importlib.import_module(name)
    from vemrecon.environment import code_in_use
    from vemrecon.metrics.catalogue import metrics

    metrics()
    code_in_use()
    gc.collect()
    gc.freeze()  # a collection would write to every page that forked processes share with this one


def forked(order: Mapping[str, Any], alive: int, messages: int) -> NoReturn:
    """Do a run in a process that was forked, and end it.

    Taking the libraries down in an orderly way takes seconds and serves nobody; what the run itself has registered for
    its end, as loggers do, is called.
    """
    parent = os.getppid()
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    end_with_parent(parent)
    for ours, standard in ((alive, 0), (messages, 1)):
        os.dup2(ours, standard)
        os.close(ours)
    import torch

    from vemrecon.bench.worker import main as work

    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(order["threads"])  # for what the run begins and writes down
        torch.set_num_threads(order["threads"])
    atexit._clear()
    code = FAILED
    try:
        code = work(Path(order["run"]))
    except SystemExit as end:  # the trainer turns SIGTERM into an orderly end; other codes are those of a method
        code = FAILED if end.code else 0
        print(f"it asked to end with {end.code}", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def ended(begun: set[int]) -> list[tuple[int, int]]:
    """Processes that have ended, with their exit codes; what they had begun is ended, too."""
    found = []
    for number in sorted(begun):
        if os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        end_group(number)  # as long as nobody has taken note of its end, no other process has its number
        found.append((number, os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])))
        begun.discard(number)
    return found


def end_group(leader: int) -> None:
    """Kill a process and all that belong to it."""
    with suppress(ProcessLookupError, PermissionError):  # a Mac says so of groups whose processes have all ended
        os.killpg(leader, signal.SIGKILL)


def _say(channel: socket.socket, message: dict[str, int]) -> None:
    with suppress(OSError):  # nobody listens any more: the next read tells it
        channel.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
