import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vemrecon import compiled
from vemrecon.errors import ConfigError
from vemrecon.nets import scan_compiled
from vemrecon.nets import selective_scan as module
from vemrecon.nets.scan_chunked import chunk_shape
from vemrecon.nets.scan_compiled import scan_rows
from vemrecon.nets.scan_orders import scan_maps, to_grid, to_sequences, visited
from vemrecon.nets.selective_scan import selective_scan, selective_scan_reference

ORDERS = [f"{''.join(axes)}{end}" for axes in itertools.permutations("FhW") for end in ("", "-")]


KERNELS = pytest.mark.parametrize("kernel", ["chunked", None], ids=["chunked", "default"])


def needs_compiler():
    if compiled.kernel_library(scan_compiled.SOURCE) is None:
        pytest.skip("no C compiler")


def example(batch=1, groups=2, per_group=2, state=3, length=11, dtype=torch.float64, seed=0, device="cpu"):
    """Arguments of a scan with everything optional present."""
    source = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=source, dtype=torch.float64).to(device, dtype).requires_grad_()

    channels = groups * per_group
    a = (-torch.rand(channels, state, generator=source, dtype=torch.float64) * 4).to(device, dtype).requires_grad_()
    return {
        "u": draw(batch, channels, length),
        "delta": draw(batch, channels, length),
        "a": a,
        "b": draw(batch, groups, state, length),
        "c": draw(batch, groups, state, length),
        "skip": draw(channels),
        "gate": draw(batch, channels, length),
        "delta_bias": draw(channels),
    }


def results_and_gradients(scan, arguments, **options):
    y, last = scan(**arguments, softplus=True, **options)
    loss = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=y.device).view_as(y)).sum() + last.square().sum()
    return [y, last, *torch.autograd.grad(loss, list(arguments.values()))]


def largest_difference(ours, wanted):
    """Relative to the largest value of each tensor."""
    pairs = zip(ours, wanted, strict=True)
    return max(((p - q).abs().max() / q.abs().max().clamp(min=1e-6)).item() for p, q in pairs)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 70), st.integers(1, 40)
)
def test_chunked_scan_equals_the_definition_for_any_shape_and_block(batch, groups, per_group, state, length, block):
    arguments = example(batch, groups, per_group, state, length)
    elements = block * batch * groups * per_group * state

    ours = results_and_gradients(selective_scan, arguments, block_elements=elements)

    assert largest_difference(ours, results_and_gradients(selective_scan_reference, arguments)) < 1e-11


@pytest.mark.parametrize("softplus", [True, False])
def test_gradients_agree_with_finite_differences(softplus):
    arguments = example(length=9)
    if not softplus:
        arguments["delta"] = arguments["delta"].detach().abs().requires_grad_()

    def scan(*values):
        return selective_scan(**dict(zip(arguments, values, strict=True)), softplus=softplus, block_elements=4 * 4 * 3)

    assert torch.autograd.gradcheck(scan, tuple(arguments.values()))


def test_optional_parts_can_be_left_out():
    arguments = {name: value for name, value in example().items() if name in ("u", "delta", "a", "b", "c")}

    assert (
        largest_difference(
            results_and_gradients(selective_scan, arguments), results_and_gradients(selective_scan_reference, arguments)
        )
        < 1e-12
    )


def test_one_group_may_be_written_without_its_axis():
    arguments = example(groups=1, per_group=4)
    shared = arguments | {name: arguments[name][:, 0] for name in ("b", "c")}

    assert torch.equal(selective_scan(**shared)[0], selective_scan(**arguments)[0])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 70), st.integers(1, 18), st.integers(1, 150), st.integers(1, 3)
)
def test_compiled_scan_equals_the_definition_for_any_shape(batch, groups, per_group, state, length, threads):
    needs_compiler()
    arguments = example(batch, groups, per_group, state, length, torch.float32)
    double = {name: value.detach().double().requires_grad_() for name, value in arguments.items()}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    ours = results_and_gradients(selective_scan, arguments, kernel="compiled")

    torch.set_num_threads(before)
    assert largest_difference(ours, results_and_gradients(selective_scan_reference, double)) < 1e-4


def test_rows_are_visited_in_the_order_of_their_group():
    needs_compiler()
    groups, width, state, grid = 2, 5, 3, (2, 3, 4)
    order = torch.stack([visited(grid, name) for name in ("hWF", "WhF-")])
    u = torch.randn(2, 24, 1, width).expand(-1, -1, groups, -1)
    delta, b, c = (torch.randn(2, 24, groups, n) for n in (width, state, state))
    a = -torch.rand(groups, state, width)

    y, _ = scan_rows(u, delta, a, b, c, None, order, softplus=True)

    for g, steps in enumerate(order):
        one = [x[:, steps, g].transpose(1, 2) for x in (u, delta)]
        looked = [x[:, steps, g].transpose(1, 2) for x in (b, c)]
        wanted, _ = selective_scan_reference(*one, a[g].T, *looked, softplus=True)
        assert torch.allclose(y[:, steps, g], wanted.transpose(1, 2), atol=1e-5)


def test_without_a_compiler_scans_are_chunked(monkeypatch):
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(scan_compiled, "kernel_library", compiled.compiled.__wrapped__)
    arguments = example(dtype=torch.float32)

    assert torch.equal(selective_scan(**arguments)[0], selective_scan(**arguments, kernel="chunked")[0])
    with pytest.raises(ConfigError, match="C compiler"):
        selective_scan(**arguments, kernel="compiled")


def test_a_compiler_that_fails_is_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert compiled.compiled.__wrapped__(scan_compiled.SOURCE) is None


@KERNELS
def test_decay_that_underflows_gives_finite_values_and_gradients(kernel):
    arguments = example(length=300, dtype=torch.float32)
    with torch.no_grad():
        arguments["delta"][..., ::3] = 500  # exp(-500 a) is zero in float32
        arguments["delta"][..., 1::3] = -40  # and here nothing decays
    double = {name: value.detach().double().requires_grad_() for name, value in arguments.items()}

    ours = results_and_gradients(selective_scan, arguments, kernel=kernel, block_elements=64 * 12)

    assert all(torch.isfinite(x).all() for x in ours)
    assert largest_difference(ours, results_and_gradients(selective_scan_reference, double)) < 1e-4


@KERNELS
def test_short_floats_keep_a_float32_state(kernel):
    exact = example(length=2000, dtype=torch.float32)
    short = {name: value.detach().bfloat16() for name, value in exact.items()}

    y, last = selective_scan(**short, softplus=True, kernel=kernel)

    wanted = selective_scan_reference(**{name: value.float() for name, value in short.items()}, softplus=True)
    assert (y.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    assert largest_difference([y.float(), last], wanted) < 0.01


@KERNELS
def test_what_is_kept_for_the_backward_pass_does_not_grow_with_length_times_state(kernel):
    kept = []
    state, length = 64, 4096
    arguments = example(groups=1, state=state, length=length, dtype=torch.float32)
    arguments.pop("gate")
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        selective_scan(**arguments, softplus=True, kernel=kernel, block_elements=256 * 2 * state)

    inputs = sum(x.numel() for x in arguments.values())
    assert sum(kept) < 1.3 * inputs


@pytest.mark.parametrize("length", [1, 2, 3, 100, 4097])
def test_chunks_cover_a_block_without_an_empty_chunk(length):
    chunks, steps = chunk_shape(length)

    assert chunks * steps >= length > (chunks - 1) * steps


@pytest.mark.parametrize("name", ["delta", "a", "b", "c"])
def test_shapes_that_do_not_fit_are_refused(name):
    arguments = example()
    arguments[name] = arguments[name][..., :-1]

    with pytest.raises(ConfigError, match="selective scan cannot use shapes"):
        selective_scan(**arguments)


def test_kernels_that_cannot_be_used_are_refused():
    with pytest.raises(ConfigError, match="float32"):
        selective_scan(**example(), kernel="compiled")
    with pytest.raises(ConfigError, match="expected 'chunked'"):
        selective_scan(**example(), kernel="fast")


def test_kernel_of_mamba_ssm_gets_its_arguments_in_its_order(monkeypatch):
    def pretended(u, delta, a, b, c, d=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False):
        assert return_last_state
        return selective_scan_reference(u, delta, a, b, c, d, z, delta_bias, softplus=delta_softplus)

    monkeypatch.setattr(module, "compiled_kernel", lambda: pretended)
    monkeypatch.setattr(module, "compiled_kernel_fits", lambda u, a: True)
    monkeypatch.setattr(module, "kernel_fits", lambda u: False)
    arguments = example(dtype=torch.float32)

    wanted = selective_scan_reference(**arguments, softplus=True)
    assert largest_difference(selective_scan(**arguments, softplus=True), wanted) < 1e-6


@pytest.mark.gpu
@pytest.mark.parametrize("kernel", ["chunked", "compiled"])
def test_scan_on_a_gpu_equals_the_definition(kernel):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if kernel == "compiled" and module.compiled_kernel() is None:
        pytest.skip("mamba-ssm is not installed")
    arguments = example(2, 4, 8, 16, 500, torch.float32, device="cuda")
    weight = torch.linspace(-1, 1, arguments["u"].numel(), device="cuda").view_as(arguments["u"])

    def gradients(y):
        return [y, *torch.autograd.grad((y * weight).sum(), list(arguments.values()))]

    ours = gradients(selective_scan(**arguments, softplus=True, kernel=kernel)[0])
    assert largest_difference(ours, gradients(selective_scan_reference(**arguments, softplus=True)[0])) < 1e-4


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 6)] * 3), st.sampled_from(ORDERS))
def test_every_step_of_every_order_moves_to_a_face_neighbour(grid, order):
    steps = visited(grid, order)

    assert steps.sort().values.tolist() == list(range(math.prod(grid)))
    places = torch.stack(torch.unravel_index(steps, grid), dim=1)
    assert (places.diff(dim=0).abs().sum(1) == 1).all()


def test_the_last_letter_names_the_fastest_axis():
    assert visited((2, 3, 4), "FhW")[:4].tolist() == [0, 1, 2, 3]
    assert visited((2, 3, 4), "hWF")[:2].tolist() == [0, 12]
    assert visited((2, 3, 4), "FWh-").tolist() == visited((2, 3, 4), "FWh").tolist()[::-1]


def test_unknown_order_is_refused():
    with pytest.raises(ConfigError, match="letters F, h and W"):
        visited((2, 2, 2), "FFW")


def test_sequences_return_to_the_grid_with_exact_gradients():
    grid, orders = (2, 3, 5), ("FhW", "WhF-", "hWF")
    x = torch.randn(2, 4, 30, dtype=torch.float64, requires_grad=True)

    sequences = to_sequences(x, grid, orders)

    assert torch.equal(sequences[:, 1], x[:, :, visited(grid, "WhF-")])
    assert torch.equal(to_grid(sequences, grid, orders), x[:, None].expand(-1, 3, -1, -1))
    assert torch.autograd.gradcheck(lambda v: to_sequences(v, grid, orders), x)
    assert torch.autograd.gradcheck(lambda v: to_grid(to_sequences(v, grid, orders) ** 2, grid, orders), x)


def test_maps_cached_in_inference_mode_can_be_trained_with():
    grid, orders = (1, 3, 7), ("FhW",)  # a grid of no other test
    scan_maps.cache_clear()
    with torch.inference_mode():
        to_sequences(torch.zeros(1, 1, 21), grid, orders)
    x = torch.ones(1, 1, 21, requires_grad=True)

    to_sequences(x, grid, orders).sum().backward()

    assert torch.equal(x.grad, torch.ones(1, 1, 21))
