"""The doors between the rooms open only downwards."""

import ast
from pathlib import Path

import vemrecon

ROOT = Path(vemrecon.__file__).parent
BASE = {"volume", "files", "seeding", "errors", "version", "protocol", "device_clock", "processes", "perceptual"}
BASE |= {
    "options",
    "file_options",
    "arguments",
    "compiled",
    "locks",
    "environment",
    "progress",
    "kept",
    "quantities",
    "schedulers",
    "plugins",
}
DOORS = {
    "volume": BASE,
    "degradations": BASE,
    "data": BASE | {"degradations"},
    "nets": BASE,
    "methods": BASE | {"nets", "degradations", "data"},
    "fit": BASE | {"methods", "data"},
    "infer": BASE | {"methods"},
    "metrics": {"volume", "errors", "compiled", "perceptual", "progress", "segment", "plugins"},
    "segment": BASE,
    "judges": BASE | {"metrics", "segment", "data"},
    "own": BASE | {"fit", "infer", "methods", "data", "degradations"},
    "bench": BASE | {"fit", "infer", "judges", "metrics", "methods", "data", "degradations"},
    "scaffold": BASE | {"data", "degradations", "metrics", "methods"},
    "check": BASE | {"bench", "fit", "infer", "methods", "metrics", "data", "degradations"},
    "statistics": {"seeding"},
    "submissions": BASE | {"check", "bench", "report", "fit", "metrics", "methods", "data", "degradations"},
    "report": BASE | {"bench", "metrics", "statistics"},
    "figure": BASE | {"report", "bench"},
    "commands": BASE
    | {
        "submissions",
        "check",
        "scaffold",
        "bench",
        "own",
        "fit",
        "infer",
        "segment",
        "metrics",
        "methods",
        "data",
        "degradations",
        "report",
        "figure",
    },
}
REPORT_MAY_SEE = (
    "vemrecon.bench.levels",
    "vemrecon.bench.result",
    "vemrecon.bench.spec",
    "vemrecon.bench.schema1",
    "vemrecon.bench.track",
    "vemrecon.metrics.catalogue",
    "vemrecon.metrics.column",
    "vemrecon.metrics.score",
)


def imports(file):
    """Every vemrecon module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("vemrecon"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vemrecon"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_rooms_import_only_downwards():
    wrong = []
    for room, allowed in DOORS.items():
        for file in sorted((ROOT / room).rglob("*.py")):
            for name in imports(file):
                target = name.split(".")[1]
                if target != room and target not in allowed:
                    wrong.append(f"{file.relative_to(ROOT)} imports {name}")
    assert not wrong, wrong


def test_report_sees_only_results_and_what_metrics_are():
    for file in sorted((ROOT / "report").rglob("*.py")):
        for name in imports(file):
            if name.startswith(("vemrecon.bench", "vemrecon.metrics")):
                assert f"{name}.".startswith(tuple(f"{seen}." for seen in REPORT_MAY_SEE)), (file, name)


def test_every_room_is_covered():
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists() and path.name[0] != "_"}
    assert rooms == set(DOORS)
