"""The kernel for attention inside windows against the form in plain torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vemrecon.compiled import kernel_library
from vemrecon.nets import attention_compiled, window_attention
from vemrecon.nets.window_attention import WindowAttention
from vemrecon.nets.window_block import WindowBlock
from vemrecon.nets.windows import shift_mask


def in_plain_torch(function, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(window_attention, "kernel_fits", lambda windows, heads: False)
        return function()


@pytest.fixture(autouse=True)
def needs_compiler():
    if kernel_library(attention_compiled.SOURCE) is None:
        pytest.skip("no C compiler")


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 8), st.integers(1, 5), st.integers(1, 5), st.booleans(), st.booleans(),
    st.integers(1, 3),
)  # fmt: skip
def test_kernel_equals_plain_torch_for_any_window(heads, quarter, rows, columns, mutual, shifted, threads):
    window, extent = (2, rows, columns), (4, 2 * rows, 3 * columns)
    attention = WindowAttention(4 * quarter * heads, window, heads, mutual=mutual)
    torch.nn.init.normal_(attention.bias_table)
    windows = 2 * torch.randn(12, 2 * rows * columns, 4 * quarter * heads)
    shift = (1, rows // 2, columns // 2)
    mask = shift_mask(extent, window, shift, windows.device, windows.dtype) if shifted else None
    before = torch.get_num_threads()
    torch.set_num_threads(threads)

    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        ours = attention(windows, mask)
        wanted = in_plain_torch(lambda: attention(windows, mask), patch)

    torch.set_num_threads(before)
    assert torch.allclose(ours, wanted, atol=2e-6)


def test_parts_make_no_difference(monkeypatch):
    block, x = WindowBlock(16, (2, 2, 4), (1, 1, 2), 4, mutual=True).eval(), torch.randn(2, 4, 8, 8, 16)
    with torch.inference_mode():
        whole = block(x)
        monkeypatch.setattr(window_attention, "CHUNK_TOKENS", 48)

        assert torch.allclose(block(x), whole, atol=1e-6)


def test_what_is_not_finite_stays_so():
    attention, windows = WindowAttention(8, (2, 1, 4), 2), torch.randn(3, 8, 8)
    windows[1, 2, 3] = torch.nan

    with torch.inference_mode():
        result = attention(windows)

    assert result.isnan().flatten(1).all(1).tolist() == [False, True, False]
    assert result[[0, 2]].isfinite().all()


def test_gradients_and_short_floats_go_without_the_kernel(monkeypatch):
    monkeypatch.setattr(window_attention, "attend_in_place", None)
    attention, windows = WindowAttention(8, (2, 1, 4), 2), torch.randn(3, 8, 8)

    attention(windows).sum().backward()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert attention(windows).isfinite().all()
    with torch.inference_mode():
        assert attention.double()(windows.double()).isfinite().all()
