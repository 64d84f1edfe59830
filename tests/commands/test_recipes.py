"""`vemrecon methods NAME --preset PRESET`: what a method does on a task, and who says so."""

from __future__ import annotations

import pytest

from vemrecon.cli import main


def shown(capsys, *words):
    code = main(["methods", *words])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), captured.err


def test_a_preset_is_shown_as_it_is_for_a_task(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, text, _ = shown(capsys, "vemamba", "--preset", "paper", "--scale", "10")
    assert code == 0
    assert "crop [16, 160, 160] paper for scale above 9" in text
    assert "learning_rate 5e-05 paper paper 5e-5, released code 5e-4" in text
    assert "deviations from the paper: data: the paper blurs" in text
    _, text, _ = shown(capsys, "vemamba", "--preset", "released", "--scale", "10", "--dataset", "cremi")
    assert "crop [16, 128, 128] released code" in text and "budget 50000 released code for dataset cremi" in text
    assert "deviations from the released code:" in text
    _, text, _ = shown(capsys, "linear", "--preset", "paper")
    assert text == "linear, preset default: scale 8 argument value source why kernel linear not stated"


def test_all_presets_of_a_method_are_listed(capsys):
    code, text, _ = shown(capsys, "irsde", "--scale", "4")
    assert code == 0 and "paper: see --preset paper --scale 4" in text and "smoke: {'width': 8" in text


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--preset", "paper"], "--preset: name a method, or give --cost"),
        (["irsde", "--preset", "released"], "no preset 'released': irsde (has smoke, cpu, gpu10, paper)"),
        (["irsde", "--preset", "papr"], "did you mean 'paper'"),
        (["irsde", "--preset", "paper", "--dataset", "creme"], "did you mean 'cremi'"),
    ],
)
def test_what_cannot_be_shown_is_one_line(capsys, words, reason):
    code, _, error = shown(capsys, *words)
    assert code == 2 and reason in error and error.count("\n") == 1
