"""The noise network of vEMDiffuse: a U-Net that is told the noise level and, if wanted, the depth between sections.

Submodules have the names of the released weights. 16 615 873 parameters at the published size; the norms and the
attention at the coarsest level look at the whole section.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from vemrecon.errors import unknown
from vemrecon.methods.emdiffuse.layers import Attention, Block, Steps, waves
from vemrecon.methods.padding import cropped, padded

INITS = ("zero", "kaiming")
GROUPS = 32  # of every norm; the common divisor with narrower widths


class NoiseUNet(nn.Module):
    """Noise in the last of some images.

    Args:
        channels: Images that are given.
        width: Channels at full resolution, even.
        multiples: Channels of every level in widths; sections are halved between levels.
        blocks: Residual blocks of every level; one more on the way back.
        attention: Reductions of the section at which levels get attention too; the coarsest end always has one.
        head: Channels of each attention head.
        dropout: In every block.
        depths: Whether there is a depth.
        variance: Whether a second head tells the logarithm of the variance of the noise that is missed.
        init: `zero` for blocks, attention and heads that add nothing at first; `kaiming` as released trainings start.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        multiples: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 2,
        attention: Iterable[int] = (),
        head: int = 32,
        dropout: float = 0.2,
        depths: bool = True,
        variance: bool = False,
        init: str = "zero",
    ) -> None:
        super().__init__()
        if init not in INITS:
            raise unknown("initialisation", init, INITS)
        if width % 2 or min(width, blocks, *multiples) < 1:
            raise ValueError("a noise U-Net needs an even width, and at least one block on every level")
        groups = math.gcd(GROUPS, width)
        code = (8 if depths else 4) * width
        self.width, self.multiple = width, 2 ** (len(multiples) - 1)
        self.cond_embed = _embedding(width)
        self.channel_embed = _embedding(width) if depths else None

        def block(before: int, after: int) -> Block:
            return Block(before, after, code, groups, dropout)

        def attended(n: int, reduction: int) -> list[nn.Module]:
            return [Attention(n, head, groups)] if reduction in tuple(attention) else []

        n = width * multiples[0]
        self.input_blocks = nn.ModuleList([Steps(nn.Conv2d(channels, n, 3, padding=1))])
        kept = [n]
        for level, factor in enumerate(multiples):
            for _ in range(blocks):
                self.input_blocks.append(Steps(block(n, width * factor), *attended(width * factor, 2**level)))
                n = width * factor
                kept.append(n)
            if level < len(multiples) - 1:
                self.input_blocks.append(Steps(Block(n, n, code, groups, dropout, "down")))
                kept.append(n)
        self.middle_block = Steps(block(n, n), Attention(n, head, groups), block(n, n))
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(multiples))):
            after = width * multiples[level]
            for i in range(blocks + 1):
                layers: list[nn.Module] = [block(n + kept.pop(), after), *attended(after, 2**level)]
                n = after
                if level and i == blocks:
                    layers.append(Block(n, n, code, groups, dropout, "up"))
                self.output_blocks.append(Steps(*layers))
        self.out = _head(n, groups)
        self.out_variance = _head(n, groups) if variance else None
        initialise_kaiming(self) if init == "kaiming" else self._initialise_zero()

    def forward(self, images: Tensor, gamma: Tensor, depth: Tensor | None = None) -> Tensor:
        """The noise.

        Args:
            images: Shape (b, channels, h, w) of any extent; the noisy one is the last.
            gamma: Share of the clean image in its variance, in (0, 1), shape (b,).
            depth: For networks that have one, shape (b,).

        Returns:
            Shape (b, 1, h, w).
        """
        return self.with_variance(images, gamma, depth)[0]

    def with_variance(self, images: Tensor, gamma: Tensor, depth: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The noise, and the logarithm of the variance of what is missed if there is a head for it."""
        x = self.features(images, gamma, depth)
        variance = None if self.out_variance is None else cropped(self.out_variance(x), images)
        return cropped(self.out(x), images), variance

    def code(self, gamma: Tensor, depth: Tensor | None = None) -> Tensor:
        """What modulates every block, shape (b, code)."""
        found: Tensor = self.cond_embed(waves(gamma, self.width))
        if self.channel_embed is None:
            return found
        if depth is None:
            raise TypeError("this noise U-Net needs a depth")
        return torch.cat([found, self.channel_embed(waves(depth, self.width))], dim=1)

    def features(self, images: Tensor, gamma: Tensor, depth: Tensor | None) -> Tensor:
        """What both heads look at; sections are continued to a multiple of the coarsest voxel."""
        code, x, kept = self.code(gamma, depth), padded(images, self.multiple), []
        for steps in self.input_blocks:
            x = steps(x, code)
            kept.append(x)
        x = self.middle_block(x, code)
        for steps in self.output_blocks:
            x = steps(torch.cat([x, kept.pop()], dim=1), code)
        return x

    def _initialise_zero(self) -> None:
        last: list[nn.Module] = [head[-1] for head in (self.out, self.out_variance) if head is not None]
        for module in self.modules():
            if isinstance(module, Block):
                last.append(module.out_layers[-1])
            elif isinstance(module, Attention):
                last.append(module.proj_out)
        for module in last:
            for parameter in module.parameters():
                nn.init.zeros_(parameter)


def initialise_kaiming(net: nn.Module) -> None:
    """Kaiming-normal weights (fan-in) and zero biases in all convolutions and linear layers."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Conv1d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _embedding(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))


def _head(n: int, groups: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(groups, n), nn.SiLU(), nn.Conv2d(n, 1, 3, padding=1))
