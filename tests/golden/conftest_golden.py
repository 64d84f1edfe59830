"""Where the golden files are: $VEMRECON_GOLDEN, or golden/ of $VEMRECON_SHARED."""

import json
import os
from pathlib import Path

import pytest
from safetensors.numpy import load_file


def golden_folder():
    """The folder of golden files, or None."""
    if "VEMRECON_GOLDEN" in os.environ:
        return Path(os.environ["VEMRECON_GOLDEN"])
    if "VEMRECON_SHARED" in os.environ:
        return Path(os.environ["VEMRECON_SHARED"]) / "golden"
    return None


def golden_cases(name):
    """Parameters for `pytest.mark.parametrize`: every NAME.json and NAME_*.json of the folder."""
    folder = golden_folder()
    files = sorted([*folder.glob(f"{name}.json"), *folder.glob(f"{name}_*.json")]) if folder else []
    files = [f for f in files if f.with_suffix(".safetensors").exists()]
    reason = "set VEMRECON_GOLDEN or VEMRECON_SHARED to check golden files"
    if not files:
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"no {name} golden file: {reason}"), id=name)]
    return [pytest.param(file, id=file.stem) for file in files]


def load_golden(file):
    """Facts and tensors of one golden file."""
    return json.loads(file.read_text()), load_file(file.with_suffix(".safetensors"))
