# ruff: noqa: D100
# %% [markdown]
# # From a stack to pictures
#
# A volume with sections of 64 nm is made isotropic and scored, from Python. Take a stack of your own instead of the
# synthetic tissue: a path of any readable format, or an array (z, y, x) of numpy, zarr, dask or torch.

# %%
import matplotlib.pyplot as plt

import vemrecon
from vemrecon.data.phantom import make_phantom

truth = make_phantom((96, 128, 128), seed=0, voxel_size_nm=8).grey
stack = vemrecon.degrade(truth, scale=8, degradation="average", voxel_size=8)
print(truth.shape, "becomes", stack.shape)

# %% [markdown]
# The scale is the anisotropy of the voxels. Methods that learn take `train="cpu"`, or `weights=`.

# %%
methods = ["nearest", "bicubic", "lanczos3"]
made = {name: vemrecon.reconstruct(stack, voxel_size=(64, 8, 8), method=name, progress=False) for name in methods}

# %% [markdown]
# Every score is a row, as data frames take them.

# %%
for name, volume in made.items():
    rows = vemrecon.evaluate(truth, volume, voxel_size=8, metrics=["psnr", "ssim"], scale=8)
    print(name, {row["metric"]: round(row["value"], 3) for row in rows if row["plane"] == "xz" and row["value"]})

# %%
figure, axes = plt.subplots(1, 2 + len(made), figsize=(14, 3.2))
shown = {"truth": truth, "stack": stack, **made}
for axis, (name, volume) in zip(axes, shown.items(), strict=True):
    axis.imshow(volume[:, 64], cmap="gray", vmin=0, vmax=255, aspect=96 / len(volume))
    axis.set_title(f"{name}, xz")
    axis.set_axis_off()
figure.savefig("tutorial.png", dpi=150, bbox_inches="tight")
