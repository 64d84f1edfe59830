"""SAM 2 as a tracker of objects through sections, with its published weights and never with others.

The checkpoint is a file in torch's cache, which only `vemrecon fetch sam2` downloads. The package is an extra.

Source: Ravi et al. 2024, arXiv:2408.00714; package sam2 1.1.0 (on PyPI, by others than the authors), checkpoint SAM 2.1
small of 29 September 2024.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vemrecon.errors import ConfigError, DataError
from vemrecon.files import sha256_of
from vemrecon.progress import Share

UNAVAILABLE = "SAM 2 is not available"
"""How every reason begins."""
REMEDY = "`vemrecon fetch sam2` gets it or says how"
DISTRIBUTIONS = ("sam2", "SAM-2")
"""Names under which the package is installed: from the package index, and from the repository of its authors."""
MOST = 8
"""Objects that are tracked at once: each is a bit of a byte."""


class TrackerError(ConfigError):
    """SAM 2 cannot be used here; the message says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """Published weights of SAM 2, and the configuration in its package that they belong to."""

    file: str
    config: str
    sha256: str
    bytes: int
    folder: str = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"

    @property
    def url(self) -> str:
        """Where its publisher keeps the file."""
        return f"{self.folder}/{self.file}"

    @property
    def path(self) -> Path:
        """Where torch keeps the weights of other networks."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file


CHECKPOINT = Checkpoint(
    "sam2.1_hiera_small.pt",
    "configs/sam2.1/sam2.1_hiera_s.yaml",
    # of the publisher's copy, huggingface.co/facebook/sam2.1-hiera-small
    "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    184_416_285,
)


def missing_package() -> str:
    """Why the package cannot be imported, in the words of Python; empty if it can."""
    try:
        import sam2.build_sam
        import sam2.sam2_video_predictor  # noqa: F401  # what its configuration names is imported late
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return " ".join(str(error).split())
    return ""


def obstacle() -> str:
    """Why SAM 2 cannot be used here, in one line; empty if it can. Reads no weights."""
    if reason := missing_package():
        return f"{UNAVAILABLE}: its package cannot be imported ({reason}); {REMEDY}"
    if not CHECKPOINT.path.is_file():
        return f"{UNAVAILABLE}: the weights {CHECKPOINT.file} are not in torch's cache; {REMEDY}"
    return ""


def package_version() -> str:
    """Version of the package, with the name under which it is installed."""
    for name in DISTRIBUTIONS:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "unknown"


class Tracker:
    """The video predictor of SAM 2, in float32 on every device.

    Args:
        device: Where it works.

    Raises:
        TrackerError: If the package or the weights are missing, or the file is another one.
    """

    def __init__(self, device: str = "cpu") -> None:
        if reason := obstacle():
            raise TrackerError(reason)
        if sha256_of(CHECKPOINT.path) != CHECKPOINT.sha256:
            raise TrackerError(f"{UNAVAILABLE}: {CHECKPOINT.path} is damaged or another file; remove it, and {REMEDY}")
        from sam2.build_sam import build_sam2_video_predictor

        with torch.random.fork_rng(devices=[]):  # random weights, replaced at once
            self.predictor: Any = build_sam2_video_predictor(CHECKPOINT.config, str(CHECKPOINT.path), device=device)
        self.predictor.fill_hole_area = 0  # by a kernel that few installations have; masks must not depend on that

    @property
    def facts(self) -> dict[str, Any]:
        """What it is, for the report."""
        return {"checkpoint": CHECKPOINT.file, "weights_sha256": CHECKPOINT.sha256, "package": package_version()}

    def track(
        self,
        grey: NDArray[np.uint8],
        prompts: NDArray[np.bool_],
        progress: Share = lambda share: None,
    ) -> NDArray[np.uint8]:
        """Follow objects from the first section to the last.

        Args:
            grey: Sections, shape (z, y, x).
            prompts: Masks of the objects in the first section, shape (objects, y, x).
            progress: Told the finished share.

        Returns:
            Shape (z, y, x); bit n of a voxel is set where object n was found. Objects may overlap.

        Raises:
            DataError: If there are no objects, or more than `MOST`, or their masks have another shape.
        """
        if not 1 <= len(prompts) <= MOST or prompts.shape[1:] != grey.shape[1:]:
            raise DataError(f"prompts of shape {prompts.shape} for sections of shape {grey.shape}")
        found = np.zeros(grey.shape, dtype=np.uint8)
        with tempfile.TemporaryDirectory(prefix="vemrecon-sam2-") as folder, torch.inference_mode():
            write_frames(Path(folder), grey)
            state = self.predictor.init_state(video_path=folder, offload_video_to_cpu=True)
            for number, mask in enumerate(prompts):
                self.predictor.add_new_mask(state, frame_idx=0, obj_id=number, mask=torch.from_numpy(mask.copy()))
            for frame, numbers, logits in self.predictor.propagate_in_video(state):
                for number, scores in zip(numbers, logits, strict=True):
                    found[frame] |= (scores[0] > 0).cpu().numpy().astype(np.uint8) << number
                progress((frame + 1) / len(grey))
        return found


def write_frames(folder: Path, grey: NDArray[np.uint8]) -> None:
    """Sections as the frames that the predictor reads: JPEG files of three channels, named by numbers.

    The predictor takes no lossless files; at this quality, grey levels change by one or two.
    """
    from PIL import Image

    for z, section in enumerate(grey):
        image = Image.fromarray(np.repeat(section[:, :, None], 3, axis=2))
        image.save(folder / f"{z:05d}.jpg", quality=100, subsampling=0)
