"""Rebuilds the inputs of the golden metric values from the recipe strings of their file."""

from __future__ import annotations

import ast
import hashlib
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

Grey = NDArray[np.uint8]


class RecipeError(ValueError):
    """A recipe in words that are not known here."""


def rounded(values: NDArray[Any]) -> Grey:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def volume(seed: int, shape: tuple[int, int, int]) -> Grey:
    z, y, x = np.indices(shape).astype(np.float64)
    turn = 2 * np.pi
    v = 128 + 40 * np.sin(turn * (0.031 * z + 0.047 * y) + 0.3 * seed)
    v += 30 * np.cos(turn * (0.023 * x - 0.029 * z) + 0.7 * seed)
    v += 25 * np.sin(turn * 0.11 * (x + 0.5 * y + 0.25 * z) + 0.1 * seed)
    return rounded(v + np.random.RandomState(seed).normal(0, 8, size=shape))


def noise(v: Grey, seed: int, sigma: float) -> Grey:
    return rounded(np.float64(v) + np.random.RandomState(seed).normal(0, sigma, size=v.shape))


def block_mean(v: Grey, s: int) -> NDArray[np.float64]:
    means: NDArray[np.float64] = (
        v[: len(v) // s * s].reshape(len(v) // s, s, *v.shape[1:]).mean(axis=1, dtype=np.float64)
    )
    return means


def linear(sections: NDArray[Any], at: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.clip(at, 0, len(sections) - 1)
    below = np.minimum(np.floor(at).astype(int), max(len(sections) - 2, 0))
    share = (at - below)[:, None, None]
    return sections[below] * (1 - share) + sections[np.minimum(below + 1, len(sections) - 1)] * share


def cubic(sections: NDArray[Any], at: NDArray[np.float64], a: float = -0.75) -> NDArray[np.float64]:
    base = np.floor(at).astype(int)
    result = np.zeros((len(at), *sections.shape[1:]))
    for tap in range(-1, 3):
        t = np.abs(at - (base + tap))[:, None, None]
        near = (a + 2) * t**3 - (a + 3) * t**2 + 1
        far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
        result += np.where(t <= 1, near, far) * sections[np.clip(base + tap, 0, len(sections) - 1)]
    return result


def avg_linear(v: Grey, s: int, axis: int = 0) -> Grey:
    moved = np.moveaxis(v, axis, 0)
    means = block_mean(moved, s)
    return np.ascontiguousarray(
        np.moveaxis(rounded(linear(means, (np.arange(len(means) * s) + 0.5) / s - 0.5)), 0, axis)
    )


def sub_linear(v: Grey, s: int) -> Grey:
    return rounded(linear(v[::s].astype(np.float64), np.arange(len(v)) / s))


FUNCTIONS: dict[str, Callable[..., Grey]] = {
    "volume": volume,
    "noise": noise,
    "avg_linear": avg_linear,
    "sub_linear": sub_linear,
}


def run_recipe(text: str, names: Mapping[str, Grey]) -> Grey:
    """Evaluate one call such as `avg_linear(reference, 4, axis=1)`; nothing but known functions and literals."""
    call = ast.parse(text, mode="eval").body
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in FUNCTIONS):
        raise RecipeError(text)

    def value(node: ast.expr) -> Any:
        return names[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node)

    options = {word.arg: value(word.value) for word in call.keywords if word.arg}
    return FUNCTIONS[call.func.id](*map(value, call.args), **options)


OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def run_statements(text: str, names: dict[str, Any]) -> dict[str, Any]:
    """Names after statements such as `test=true.copy(); test[(true%2==0)&(x>=50)]+=1000`: sums of arrays and masks."""

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=number) if isinstance(number, int):
                return number
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
            case ast.Call(func=ast.Attribute(value=inner, attr="copy"), args=[], keywords=[]):
                return value(inner).copy()
        raise RecipeError(ast.unparse(node))

    for statement in ast.parse(text.replace("; ", "\n")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=new):
                names[name] = value(new)
            case ast.Assign(targets=[ast.Subscript(value=whole, slice=mask)], value=new):
                value(whole)[value(mask)] = value(new)
            case ast.AugAssign(target=ast.Subscript(value=whole, slice=mask), op=ast.Add(), value=new):
                value(whole)[value(mask)] += value(new)
            case _:
                raise RecipeError(ast.unparse(statement))
    return names


def make_module(text: str) -> nn.Module:
    """A module of torch from what it prints: one layer, or a `Sequential( (0): ... )` of layers."""
    text = " ".join(text.split())
    if inside := re.fullmatch(r"Sequential\((.*)\)", text):
        layers = re.split(r"\s*\(\d+\): ", inside[1])[1:]
        return nn.Sequential(*map(make_module, layers))
    call = ast.parse(text, mode="eval").body
    kind = getattr(nn, call.func.id, None) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise RecipeError(text)
    options = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
    module: nn.Module = kind(*map(ast.literal_eval, call.args), **options)
    return module


def read_crop(path: Path, dataset: str, crop: Any) -> Grey:
    slices = tuple(slice(a, b) for a, b in crop)
    if path.suffix == ".h5":
        import h5py

        with h5py.File(path) as file:
            found: Grey = file[dataset][slices]
            return found
    import tifffile

    return np.ascontiguousarray(tifffile.imread(path)[slices])


def crop_in_text(text: str) -> tuple[str, Any]:
    """File and crop out of `...=data/some/file.tif crop [(0, 4), ...]; ...`."""
    found = re.search(r"(data/[^\s,]+),? crop (\[[^\]]*\])", text)
    if found is None:
        raise RecipeError(f"no file and crop in: {text}")
    return found[1], ast.literal_eval(found[2])


def sha256(values: Grey) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
