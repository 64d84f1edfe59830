"""A module `sam2` without a network: it follows bright patches that overlap with the mask in the section before."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import lpips_stand_in
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from vemrecon.segment import tracker

WEIGHTS = b"no weights"
BRIGHT = 110


class Predictor:
    """What `build_sam2_video_predictor` gives, as far as it is used; counts what it is asked for."""

    videos: list[dict[str, Any]]

    def __init__(self) -> None:
        self.fill_hole_area = 8

    def init_state(self, video_path: str, offload_video_to_cpu: bool = False) -> dict[str, Any]:
        files = sorted(Path(video_path).glob("*.jpg"), key=lambda file: int(file.stem))
        images = [Image.open(file) for file in files]
        assert {(image.format, image.mode) for image in images} == {("JPEG", "RGB")}
        state = {"frames": [np.asarray(image)[:, :, 0] for image in images], "masks": {}, "folder": video_path}
        self.videos.append(state)
        return state

    def add_new_mask(self, inference_state: dict[str, Any], frame_idx: int, obj_id: int, mask: torch.Tensor) -> None:
        assert frame_idx == 0 and mask.dtype == torch.bool and mask.shape == inference_state["frames"][0].shape
        inference_state["masks"][obj_id] = mask.numpy()

    def propagate_in_video(self, state: dict[str, Any]) -> Iterator[tuple[int, list[int], torch.Tensor]]:
        assert self.fill_hole_area == 0 and torch.is_inference_mode_enabled()
        masks = dict(state["masks"])
        for number, frame in enumerate(state["frames"]):
            if number:
                masks = {name: followed(frame, mask) for name, mask in masks.items()}
            logits = np.stack(list(masks.values()))[:, None] * 2.0 - 1.0
            yield number, list(masks), torch.from_numpy(logits)


def followed(frame: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Bright patches that lie in a mask with more than half of their pixels."""
    patches, count = ndimage.label(frame > BRIGHT)
    inside = np.bincount(patches[before], minlength=count + 1) / np.bincount(patches.ravel(), minlength=count + 1)
    inside[0] = 0
    return (inside > 0.5)[patches]


def build_sam2_video_predictor(config: str, checkpoint: str, device: str) -> Predictor:
    assert (config, device) == ("configs/sam2.1/sam2.1_hiera_s.yaml", "cpu")
    assert Path(checkpoint).read_bytes() == WEIGHTS, "only weights that were checked"
    torch.rand(1)  # as a network that begins with random weights
    return Predictor()


def with_stand_in(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put the stand-in in the place of the package; gives the list to which it adds every video."""
    package, build, predictor = (ModuleType(name) for name in PARTS)
    vars(build).update(build_sam2_video_predictor=build_sam2_video_predictor)
    vars(package).update(build_sam=build, sam2_video_predictor=predictor)
    for module in (package, build, predictor):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    videos: list[dict[str, Any]] = []
    monkeypatch.setattr(Predictor, "videos", videos, raising=False)
    return videos


PARTS = ("sam2", "sam2.build_sam", "sam2.sam2_video_predictor")


def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PARTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "sam2", None)


def put_weights(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make a folder torch's cache, with a file that counts as the checkpoint; gives its path."""
    checkpoints = lpips_stand_in.empty_cache(monkeypatch, folder)
    checkpoints.mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    monkeypatch.setattr(tracker, "CHECKPOINT", replace(tracker.CHECKPOINT, sha256=sha256, bytes=len(WEIGHTS)))
    (checkpoints / tracker.CHECKPOINT.file).write_bytes(WEIGHTS)
    return checkpoints / tracker.CHECKPOINT.file
