"""Where Lightning finds the processes of a training that this package has begun itself."""

from __future__ import annotations

from lightning.fabric.plugins.environments.lightning import LightningEnvironment


class Launched(LightningEnvironment):
    """Processes on this machine, of which each knows its place from its environment, in all stages of a training.

    A batch job around them is no launcher of theirs, whatever its variables say.
    """

    def teardown(self) -> None:
        """Leave the variables as they are: the next stage needs them."""
