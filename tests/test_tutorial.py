"""The tutorial runs, and its notebook holds all of it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_tutorial_runs(tmp_path):
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, DOCS / "tutorial.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "(96, 128, 128) becomes (12, 128, 128)" in done.stdout and "lanczos3" in done.stdout
    assert (tmp_path / "tutorial.png").stat().st_size > 20_000


def test_the_notebook_has_the_cells_of_the_script():
    spec = importlib.util.spec_from_file_location("notebook", DOCS / "notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    script = (DOCS / "tutorial.py").read_text("utf-8")
    made = module.notebook(script)
    assert [cell["cell_type"] for cell in made["cells"]].count("code") == 4
    code = "".join("".join(cell["source"]) + "\n" for cell in made["cells"] if cell["cell_type"] == "code")
    compile(code, "notebook", "exec")
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert all(line in code for line in lines)
