"""The study of noise: what it adds, what it counts, and that it runs."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

import vemrecon
from vemrecon.metrics.windows import window

sys.path.append(str(Path(vemrecon.__file__).parents[1] / "benchmark" / "studies"))
import noise as study


def test_a_perfect_reconstruction_scores_what_the_noise_leaves():
    clean = np.full((40, 40, 40), 128, np.uint8)
    found = {(line.method, line.score): line.value for line in study.ceilings("flat", clean, 10)}
    deviation = np.sqrt(10**2 + 1 / 12)  # with that of rounding
    assert found[study.PERFECT, "psnr"] == pytest.approx(20 * np.log10(255 / deviation), abs=0.1)
    assert found[study.OTHER_NOISE, "psnr"] == pytest.approx(found[study.PERFECT, "psnr"] - 3.01, abs=0.1)
    left = deviation * (window("sigma1").numpy() ** 2).sum() ** 1.5
    assert found[study.PERFECT, "psnr_lowpass1"] == pytest.approx(20 * np.log10(255 / left), abs=0.5)


def test_pairs_that_change_their_order_are_counted_once():
    assert study.swapped([1, 2, 3], [10, 20, 30]) == (0, 3)
    assert study.swapped([1, 2, 3], [30, 20, 10]) == (3, 3)
    assert study.swapped([1, 2, 3, 4], [1, 3, 2, 4]) == (1, 6)
    assert study.swapped([1, 1], [1, 2]) == (0, 1), "equal scores are in no order"


def test_independent_noise_changes_no_order_by_psnr():
    clean = study.make_phantom((48, 48, 48), seed=0, noise=False).grey
    lines = list(study.study("phantom", clean, 20, batches=0))
    assert {line.method for line in lines} == set(study.KERNELS)
    changed, pairs = study.order_changes(lines, (20, "noisy", "psnr"), (20, "clean", "psnr"))
    assert pairs == 20 and changed <= 1
    assert study.spread(lines, 20, "psnr") > 0


def test_it_writes_tables_and_every_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(
        study, "tissues", lambda size, root: [("flat", study.make_phantom((40,) * 3, noise=False).grey)]
    )
    words = ["noise.py", "--noise", "0", "10", "--batches", "0", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    study.main()
    assert "Pairs of methods in another order" in capsys.readouterr().out
    with (tmp_path / "noise.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * (3 + 2 * 2 * 2 * len(study.KERNELS))
