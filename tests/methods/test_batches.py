"""A longer or shorter training is the same training: all that counts batches changes alike."""

import pytest

from vemrecon.methods.base import Method, Tile
from vemrecon.methods.batches import batches_of, lengthened, lengths
from vemrecon.methods.build import build_method
from vemrecon.methods.registry import built_in_methods
from vemrecon.methods.stage import Stage
from vemrecon.volume import SectionGrid

GRID = SectionGrid.slabs(4.0)
TRAINED = {
    name: entry for name, entry in built_in_methods().items() if entry.card.regime == "self" and not entry.card.at_test
}
SHARES = (0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


def built(name, factor):
    kind, _, presets = TRAINED[name].resolved()
    return build_method(kind, name, lengthened(kind, presets["cpu"], factor), grid=GRID, seed=0)


@pytest.mark.parametrize("name", TRAINED)
def test_the_batches_of_all_stages_change_by_the_same_factor(name):
    whole, half = batches_of(built(name, 1.0)), batches_of(built(name, 0.5))
    assert half.keys() == whole.keys()
    for stage, count in whole.items():
        assert half[stage] == pytest.approx(count / 2, rel=0.05)
    kind, _, presets = TRAINED[name].resolved()
    settings = set(lengths(kind, presets["cpu"]))
    assert settings & {"budget", "diffusion.budget"}
    assert (
        lengthened(kind, presets["cpu"], 1.0).items()
        >= {k: v for k, v in presets["cpu"].items() if k not in ("distil", "diffusion")}.items()
    )


def rates(method, stage):
    """Learning rates at shares of a stage, of the optimizers that a method makes for it."""
    method.stage, count = stage, stage.epochs * stage.batches_per_epoch
    at = [round(share * count) for share in SHARES]
    if hasattr(method, "rates"):  # set before every batch
        return [method.rates(number)[1] for number in at]
    if hasattr(method, "at_work"):
        method.at_work.stage = stage
    made = method.configure_optimizers()
    schedule, found = made["lr_scheduler"]["scheduler"], []
    made["optimizer"].step()
    for _ in range(count):
        found.append(schedule.get_last_lr()[0])
        schedule.step()
    return [found[number] for number in at]


@pytest.mark.parametrize("name", TRAINED)
def test_learning_rates_follow_the_same_course_in_a_short_training(name):
    long, short = built(name, 1.0), built(name, 0.2)
    for one, two in zip(long.stages(), short.stages(), strict=True):
        if one.name == "degradation":
            continue  # of the few batches of the preset every one halves the rate
        first, second = rates(long, one), rates(short, two)
        assert second == pytest.approx(first, abs=0.04 * max(first)), one.name


def test_defaults_are_counted_and_nothing_else_is_changed():
    class Mine(Method):
        in_batches = ("steps", "warm_up", "unknown")

        def __init__(self, steps=100, warm_up=0, width=7):
            super().__init__()
            self.steps = steps

        def stages(self):
            return (Stage("fit", (), None, self.steps, 1),)

        def reconstruct(self, tile: Tile):
            return tile.observed

    assert lengthened(Mine, {"width": 9}, 0.25) == {"width": 9, "steps": 25}
    assert lengthened(Mine, {"steps": 8}, 0.001) == {"steps": 1}
    assert batches_of(Mine(25)) == {"fit": 25}
