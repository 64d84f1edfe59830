"""Authors' checkpoints: there and back, strictly, and on to a reconstruction."""

import numpy as np
import pytest
import torch
from released_states import export_state
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.methods.irsde.nafnet import NAFNet
from vemrecon.methods.isovem.network import IsoVEMNet
from vemrecon.methods.isovem.released import to_released
from vemrecon.methods.vemamba.encoder import MomentumContrast
from vemrecon.methods.vemamba.network import VEMambaNet


@pytest.fixture
def checkpoints(tmp_path):
    """Small networks under the authors' names."""
    torch.manual_seed(3)
    torch.save(export_state(VEMambaNet(4, 8, (1, 1), 4)), tmp_path / "vemamba.pt")
    torch.save({"state_dict": export_state(MomentumContrast(32))}, tmp_path / "encoder.pt")
    net = IsoVEMNet(4, window_size=(2, 1, 4), embed_dims=(8,) * 9, depths=(4,) * 7 + (2,) * 2)
    torch.save(to_released(net), tmp_path / "isovem.pt")
    torch.save(NAFNet(4, (2, 1), 1, (1, 1)).state_dict(), tmp_path / "irsde.pt")
    np.save(tmp_path / "stack.npy", textured((8, 32, 32)))
    return tmp_path


def run(*words):
    return main([str(word) for word in words])


@pytest.mark.parametrize(
    ("method", "setting"), [("vemamba", "rotations=[0]"), ("isovem", "rotations=[0]"), ("irsde", "steps=2")]
)
def test_imported_weights_reconstruct_a_volume(checkpoints, method, setting):
    encoder = ["--encoder", checkpoints / "encoder.pt"] if method == "vemamba" else []
    weights = checkpoints / "weights.safetensors"
    assert run("import-weights", method, checkpoints / f"{method}.pt", weights, *encoder) == 0
    words = ["--method", method, "--weights", weights, "--scale", 4, "--set", setting]
    assert run("reconstruct", checkpoints / "stack.npy", checkpoints / "out.zarr", *words) == 0


def test_weights_of_one_method_do_not_serve_another(checkpoints, capsys):
    weights = checkpoints / "weights.safetensors"
    assert run("import-weights", "isovem", checkpoints / "isovem.pt", weights) == 0
    words = ["--method", "vemamba", "--weights", weights, "--scale", 4]
    assert run("reconstruct", checkpoints / "stack.npy", checkpoints / "out.zarr", *words) == 2
    assert "weights of method 'isovem'" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["vemamba", "isovem", "irsde"])
@pytest.mark.parametrize("change", ["missing", "left over"])
def test_a_checkpoint_with_other_keys_is_refused(checkpoints, capsys, method, change):
    state = torch.load(checkpoints / f"{method}.pt")
    if change == "missing":
        del state[[key for key in state if key.endswith("bias")][3]]
    else:
        state["body.9.extra.weight" if method == "isovem" else "extra.weight"] = torch.zeros(2)
    torch.save(state, checkpoints / "odd.pt")
    encoder = ["--encoder", checkpoints / "encoder.pt"] if method == "vemamba" else []
    assert run("import-weights", method, checkpoints / "odd.pt", checkpoints / "w.safetensors", *encoder) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and not (checkpoints / "w.safetensors").exists()


def test_files_that_are_no_checkpoints_are_refused(checkpoints, capsys):
    (checkpoints / "text.pt").write_text("hello")
    torch.save({"a": 1}, checkpoints / "numbers.pt")
    for words, message in (
        (["isovem", checkpoints / "none.pt"], "no such file"),
        (["isovem", checkpoints / "text.pt"], "damaged"),
        (["isovem", checkpoints / "numbers.pt"], "no state dict"),
        (["isovem", checkpoints / "vemamba.pt"], "IsoVEM"),
        (["vemamba", checkpoints / "vemamba.pt"], "--encoder"),
        (["isovm", checkpoints / "isovem.pt"], "did you mean 'isovem'"),
    ):
        assert run("import-weights", *words, checkpoints / "w.safetensors") == 2, words
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
