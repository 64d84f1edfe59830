"""Who does the runs, and which devices each of them gets for itself."""

from __future__ import annotations

from collections.abc import Sequence

from vemrecon.bench.executors.here import Executor, Here
from vemrecon.bench.executors.on_dask import OnDask
from vemrecon.bench.executors.warm_process import WarmProcess
from vemrecon.bench.plan import PlannedRun
from vemrecon.bench.request import Setup
from vemrecon.environment import cores
from vemrecon.errors import ConfigError
from vemrecon.schedulers import require_place


def executor_of(setup: Setup, runs: Sequence[PlannedRun], warm: WarmProcess | None = None) -> Executor:
    """Who does runs.

    Args:
        setup: Says so.
        runs: What is to be done.
        warm: One that was begun before, for runs that this process begins.

    Raises:
        ConfigError: See `device_groups` and `require_place`.
    """
    if setup.dask is None:
        return Here(device_groups(setup, runs), warm)
    require_place(setup.dask)
    if setup.jobs is not None:
        raise ConfigError("--jobs: with --dask the workers say how many runs are done at once")
    count = setup.devices_per_run
    if count > 1:
        require_shareable(runs, count)
    return OnDask(setup.dask, count, setup.torch_devices[0] != "cpu", warm)


def device_groups(setup: Setup, runs: Sequence[PlannedRun]) -> list[tuple[str, ...]]:
    """Devices of the runs that are at work at once; none is in two groups unless it was named twice.

    On CPUs there are as many groups as cores, or one where something learns: trainings go one by one.

    Raises:
        ConfigError: If there are too few devices, or a batch of a training cannot be shared by so many.
    """
    count, devices = setup.devices_per_run, setup.torch_devices
    if all(device == "cpu" for device in devices):
        groups = [("cpu",) * count] * at_once(setup, runs)
    else:
        groups = [devices[n : n + count] for n in range(0, len(devices) - count + 1, count)]
        if not groups:
            raise ConfigError(f"--devices-per-run {count}: --devices names only {len(devices)}")
        if setup.jobs is not None and setup.jobs > len(groups):
            raise ConfigError(
                f"--jobs {setup.jobs}: {len(devices)} devices are enough for {len(groups)} runs at once; name a device "
                f"twice in --devices to let two runs share it"
            )
        groups = groups[: setup.jobs]
        for group in groups:
            if len(set(group)) < len(group) or len({device.partition(":")[0] for device in group}) > 1:
                raise ConfigError(f"--devices-per-run {count}: {' '.join(group)} cannot share the training of one run")
    if count > 1:
        require_shareable(runs, count)
    return groups


def at_once(setup: Setup, runs: Sequence[PlannedRun]) -> int:
    """How many runs are at work at once."""
    count, devices = setup.devices_per_run, setup.torch_devices
    if all(device == "cpu" for device in devices):
        return setup.jobs or (1 if any(run.learns for run in runs) else cores())
    return max(1, min(setup.jobs or len(devices), len(devices) // count))


def require_shareable(runs: Sequence[PlannedRun], count: int) -> None:
    """Refuse batches that so many processes cannot share.

    Raises:
        ConfigError: With the first of them.
    """
    from vemrecon.bench.trainings import learner_of

    for run in runs:
        for stage in learner_of(run.folder).stages() if run.learns else ():
            if stage.batch % count:
                raise ConfigError(
                    f"--devices-per-run {count}: {run.folder.spec.method.name} learns from batches of {stage.batch} "
                    f"(stage '{stage.name}'), which {count} devices cannot share evenly"
                )
