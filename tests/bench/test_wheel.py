"""The wheel holds everything: a benchmark runs from it, far from any checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the checkout to build from")
def test_the_installed_wheel_runs_a_benchmark_outside_the_checkout(tmp_path):
    # sdist first, wheel from the sdist: what an upload would contain
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "dist").glob("*.tar.gz"))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert (site / "vemrecon" / "_benchmark" / "protocol.yaml").exists()
    published = site / "vemrecon" / "_benchmark" / "published.csv"
    kernels = {path.name for path in (ROOT / "vemrecon" / "nets").glob("*.[ch]")}
    assert kernels and kernels == {path.name for path in (site / "vemrecon" / "nets").glob("*.[ch]")}
    assert published.read_bytes() == (ROOT / "leaderboards" / "published.csv").read_bytes()
    words = ["bench", "--split", "smoke", "--scale", "4", "--methods", "nearest", "bicubic", "--degradation", "average"]
    code = f"import sys; sys.path.insert(0, {str(site)!r})\nimport vemrecon\n"
    code += f"assert vemrecon.__file__.startswith({str(site)!r})\n"
    code += "from vemrecon.report.published import published_file\n"
    code += f"assert str(published_file()) == {str(published)!r}\n"
    code += f"from vemrecon.cli import main\nsys.exit(main({words!r}))"
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/*/result.json")]
    assert [result["status"] for result in results] == ["done", "done"]
    assert all(result["environment"]["commit"] == "" for result in results), "a wheel knows no commit"
    assert (tmp_path / "runs" / "report" / "index.html").exists()
