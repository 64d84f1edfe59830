"""A process that begins runs, kept for all benchmarks that tests begin in one environment."""

import os
from pathlib import Path

from vemrecon.bench.executors.warm_process import WarmProcess


class Kept(WarmProcess):
    """Ends with the tests, not with the benchmark that it was begun for."""

    def close(self):
        """Whoever keeps it ends it."""

    def end(self):
        super().close()


class Keeper:
    """Has the process for the environment and folder of today; another one where these have changed."""

    def __init__(self):
        self.process, self.place = None, None

    def process_here(self):
        place = Path.cwd(), {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        if self.process is None or self.process.gone or self.place != place:
            self.end()
            self.process, self.place = Kept(), place
        return self.process

    def end(self):
        if self.process is not None:
            self.process.end()
            self.process = None
