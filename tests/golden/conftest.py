"""Golden tests compare something or say so; what no test checked is listed at the end."""

from pathlib import Path

import pytest
from golden_files import golden_files

HERE = Path(__file__).parent
WHOLE = pytest.StashKey[bool]()  # whether every golden test of these files runs, slow ones apart


def golden_of(item):
    return item.callspec.params.get("golden") if hasattr(item, "callspec") else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A test that compared nothing is skipped, never passed."""
    golden = golden_of(item)
    if golden is None:
        return (yield)
    before, golden.missing[:] = golden.comparisons, []
    result = yield
    if golden.comparisons == before:
        pytest.skip(f"{golden.path.name} has no {', '.join(map(repr, golden.missing)) or 'value to compare with'}")
    return result


def pytest_configure(config):
    config.stash[WHOLE] = True


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """The count of what was checked comes last."""
    config.stash[WHOLE] &= {path.name for path in HERE.glob("test_*.py")} <= {item.path.name for item in items}
    items.sort(key=lambda item: item.path.name == "test_coverage.py")


def pytest_deselected(items):
    """What slow tests would check is not missing where they are left out."""
    for item in items:
        golden = golden_of(item)
        if golden and item.get_closest_marker("slow"):
            golden.put_off.add(item.callspec.params["case"])
        elif item.path.parent == HERE and not item.get_closest_marker("gpu"):
            item.config.stash[WHOLE] = False


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[WHOLE]:
        for golden in golden_files():
            left = golden.not_checked() if golden.family else ["the whole file, which no test knows"]
            if left:
                terminalreporter.write_line(f"not checked in {golden.path.name}: {', '.join(left)}")


@pytest.fixture
def whole_run(request):
    """Skips where only some of the golden tests run."""
    if not request.config.stash[WHOLE]:
        pytest.skip("only some of the golden tests run")
