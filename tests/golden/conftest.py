"""Golden tests compare something or say so; what no test checked is listed at the end."""

from pathlib import Path

import pytest
from golden_files import golden_files

HERE = Path(__file__).parent
COLLECTED = pytest.StashKey[set]()  # modules of which every test runs, slow ones apart


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
    config.stash[COLLECTED] = {path.name for path in HERE.glob("test_*.py")}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """The count of what was checked comes last."""
    config.stash[COLLECTED] &= {item.path.name for item in items if item.path.parent == HERE}
    items.sort(key=lambda item: item.path.name == "test_coverage.py")


def whole(config, golden):
    """Whether all tests of a file's family run: of test_NAME.py, where one name begins with the other."""
    names = [(path.name, path.stem.removeprefix("test_")) for path in HERE.glob("test_*.py")]
    own = {module for module, name in names if name.startswith(golden.family) or golden.family.startswith(name)}
    return own <= config.stash[COLLECTED]


def pytest_deselected(items):
    """What slow tests would check is not missing where they are left out."""
    for item in items:
        golden = golden_of(item)
        if golden and item.get_closest_marker("slow"):
            golden.put_off.add(item.callspec.params["case"])
        elif item.path.parent == HERE and not item.get_closest_marker("gpu"):
            item.config.stash[COLLECTED].discard(item.path.name)


def pytest_terminal_summary(terminalreporter, config):
    if config.option.collectonly:
        return
    for golden in golden_files():
        if golden.family is None:
            terminalreporter.write_line(f"not checked: {golden.path.name}, which no test knows")
        elif whole(config, golden) and (left := golden.not_checked()):
            terminalreporter.write_line(f"not checked in {golden.path.name}: {', '.join(left)}")


@pytest.fixture
def whole_family(request, golden):
    """Skips where only some of the tests of a file run."""
    if golden.family and not whole(request.config, golden):
        pytest.skip(f"only some of the tests of {golden.path.name} run")
