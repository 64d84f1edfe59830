"""VEMamba's networks and losses against tensors of the original parts. Everything checked comes from the files."""

import re

import torch
import torch.nn.functional as F
from golden_files import cases
from released_states import export_state
from vemamba_golden import (
    DOUBLE_AND_SINGLE,
    assert_close,
    check,
    contrast_of,
    expected,
    first_number,
    given,
    names_of,
    record,
    sections,
    suggested,
    under,
)

from vemrecon.methods.vemamba.losses import contrast_loss, reconstruction_loss, warmup_cosine
from vemrecon.methods.vemamba.released import import_network, network_options
from vemrecon.metrics.psnr import decibels
from vemrecon.nets.losses import structural_similarity


@cases("vemamba", lambda golden: names_of(golden, "model") + names_of(golden, "inference"))
def test_arguments_of_the_network_are_read_off_its_weights(golden, case):
    state = under(golden, golden.facts[case]["prefix"] + "state.")
    key = "config" if "config" in golden.facts[case] else "model_config"
    options, config = network_options(state), golden.expected_fact(case, key)
    assert [options["width"], list(options["depths"]), options["state"], options["scale"]] == [
        config[name] for name in ("dim", "depths", "d_state", "upscales")
    ]
    assert [options["expansion"], options["feed_forward_expansion"]] == [config["ssm_ratio"], config["mlp_ratio"]]
    assert options["feed_forward"] == ("conv" if golden.fact(case, "feed_forward").startswith("Conv") else "linear")
    golden.agree((case, "parameters"), sum(x.numel() for x in import_network(state).state_dict().values()))


@DOUBLE_AND_SINGLE
@sections("model")
def test_network_reproduces_output_and_intermediates(golden, case, dtype, monkeypatch):
    prefix = golden.facts[case]["prefix"]
    net = import_network(under(golden, prefix + "state.", dtype)).to(dtype).eval()
    seen = record(net, monkeypatch)
    x = given(golden, f"{prefix}input.x", dtype)
    for name, axis in (("batch", 0), ("F", 2), ("h", 3), ("W", 4)):
        golden.agree((case, name), x.shape[axis])
    embedding = f"{prefix}input.cdp"

    y = net(x, given(golden, embedding, dtype) if embedding in golden else None)

    tolerance = suggested(golden, "model outputs")
    check(golden, f"{prefix}output.y", y, tolerance)
    for name in (found[1] for found in golden.matching(rf"{prefix}mid\.(.+)") if found[1] in seen):
        check(golden, f"{prefix}mid.{name}", seen[name], tolerance)


def with_gradients(golden):
    names = names_of(golden, "model")
    return [name for name in names if golden.matching(re.escape(golden.facts[name]["prefix"]) + r"grad\..+")]


@DOUBLE_AND_SINGLE
@cases("vemamba", with_gradients)
def test_network_reproduces_gradients(golden, case, dtype):
    prefix = golden.facts[case]["prefix"]
    weight = given(golden, f"{prefix}input.grad_weight", dtype)
    net = import_network(under(golden, prefix + "state.", dtype)).to(dtype)
    names = [name for name in ("input.x", "input.cdp") if prefix + name in golden]
    inputs = {name: given(golden, prefix + name, dtype).clone().requires_grad_() for name in names}

    (net(*inputs.values()) * weight).sum().backward()

    for parameter in net.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    ours = export_state(net) | {name: value.grad for name, value in inputs.items()}
    for name, gradient in expected(golden, prefix + "grad.", dtype).items():
        assert_close(ours[name], gradient, suggested(golden, "gradients"), name)


@sections("model")
def test_state_dict_survives_import_and_export(golden, case):
    prefix = golden.facts[case]["prefix"] + "state."
    state = under(golden, prefix)

    back = export_state(import_network(state))

    assert set(back) == set(state)
    for name in state:
        golden.check(prefix + name, back[name], atol=0)


@DOUBLE_AND_SINGLE
@sections("moco")
def test_encoder_and_contrastive_step(golden, case, dtype):
    prefix = golden.facts[case]["prefix"]
    contrast = contrast_of(golden, case, dtype).eval()
    query, key = (given(golden, f"{prefix}input.im_{name}", dtype) for name in "qk")
    golden.agree((case, "batch"), len(query))
    golden.agree((case, "plane"), list(query.shape[2:]))
    ours = {"eval_embedding": contrast(query)}
    ours["eval_projection"] = contrast.query.head(ours["eval_embedding"])

    contrast.train()
    contrast.key.eval()  # as a runner would leave what does not learn
    logits, embedding = contrast.contrast(query, key)
    loss = contrast_loss(logits)
    loss.backward()

    ours |= {"train_embedding": embedding, "train_logits": logits, "train_loss": loss[None]}
    ours["train_labels"] = torch.zeros(len(query), dtype=torch.long)
    state = export_state(contrast)
    ours |= {"queue_after": state["queue"], "queue_ptr_after": state["queue_ptr"]}
    ours |= {f"query_after.{name[10:]}": value for name, value in state.items() if name.startswith("encoder_q.")}
    ours |= {f"key_after.{name[10:]}": value for name, value in state.items() if name.startswith("encoder_k.")}
    for parameter in contrast.query.parameters():
        parameter.data = parameter.grad
    ours |= {f"grad.{name}": value for name, value in export_state(contrast).items() if name.startswith("encoder_q.")}
    for name in (found[1] for found in golden.matching(rf"{prefix}output\.(.+)") if found[1] in ours):
        loose = name.startswith("grad.") or name in ("train_logits", "train_loss")
        check(
            golden, f"{prefix}output.{name}", ours[name], suggested(golden, "gradients" if loose else "model outputs")
        )


def volumes(golden, case):
    prefix = golden.facts[case]["prefix"]
    return tuple(given(golden, f"{prefix}input.{name}", torch.float64) for name in ("hr", "out"))


@sections("metrics")
def test_losses(golden, case):
    truth, result = volumes(golden, case)
    result.requires_grad_()
    tolerance = first_number(golden, case, "tolerance")
    golden.agree((case, "shape"), list(truth.shape[2:]))

    loss = reconstruction_loss(result, truth)
    loss.backward()

    golden.agree((case, "loss_total"), loss.item(), abs=tolerance)
    golden.agree((case, "loss_l1"), F.l1_loss(result, truth).item(), abs=tolerance)
    golden.agree((case, "loss_ssim"), 1 - structural_similarity(result, truth, dims=3).item(), abs=tolerance)
    check(golden, golden.facts[case]["prefix"] + "output.loss_grad_out", result.grad, 1e-4)


@sections("metrics")
def test_similarity_and_signal_to_noise_ratio_of_the_volume_and_of_its_planes(golden, case):
    truth, result = volumes(golden, case)
    similarity = [structural_similarity(result, truth, dims=3)]
    similarity += [structural_similarity(result.movedim(i, 2), truth.movedim(i, 2)) for i in (2, 3, 4)]
    golden.agree((case, "ssim"), [value.item() for value in similarity], abs=first_number(golden, case, "tolerance"))
    error = (result - truth)[0, 0].square()
    ratios = [decibels(error.mean() * 255**2)]
    ratios += [decibels(error.movedim(i, 0).mean(dim=(1, 2)) * 255**2).mean() for i in range(3)]
    (tolerance,) = golden.numbers(r"([\d.e-]+) dB", case, "tolerance")
    golden.agree((case, "psnr"), [value.item() for value in ratios], abs=tolerance)


@sections("lr_multiplier")
def test_learning_rate_multiplier(golden, case):
    warmup, total = golden.fact(case, "warmup_steps"), golden.fact(case, "total_steps")
    for step in golden.listed(case, "samples"):
        wanted = golden.facts[case]["samples"][step]
        ours = warmup_cosine(int(step), warmup, total)
        golden.agree((case, "samples", step), ours, abs=1e-12 + 1e-9 * wanted)
