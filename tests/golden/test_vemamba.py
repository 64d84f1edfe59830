"""VEMamba's networks and losses against tensors of the original parts. Everything checked comes from the files."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from vemamba_golden import (
    CHECKED,
    DOUBLE_AND_SINGLE,
    assert_close,
    contrast_of,
    first_number,
    read,
    record,
    sections,
    suggested,
    under,
)

from vemrecon.methods.vemamba.losses import contrast_loss, reconstruction_loss, warmup_cosine
from vemrecon.methods.vemamba.released import export_state, import_network, network_options
from vemrecon.nets.losses import structural_similarity


@sections(rf"(?!({CHECKED})$).*")
def test_a_section_without_a_counterpart_here(file, section):
    pytest.skip(f"no rule for section {section!r} of {file.name if file else 'no file'}")


@DOUBLE_AND_SINGLE
@sections(r"model_\w+")
def test_network_reproduces_output_and_intermediates(file, section, dtype, monkeypatch):
    facts, model, tensors = read(file, section)
    values = under(tensors, model["prefix"], dtype)
    state = under(values, "state.")
    options, config = network_options(state), model["config"]
    net = import_network(state).to(dtype).eval()
    assert [options["width"], list(options["depths"]), options["state"], options["scale"]] == [
        config[name] for name in ("dim", "depths", "d_state", "upscales")
    ]
    assert [options["expansion"], options["feed_forward_expansion"]] == [config["ssm_ratio"], config["mlp_ratio"]]
    assert options["feed_forward"] == ("conv" if model["feed_forward"].startswith("Conv") else "linear")
    assert sum(x.numel() for x in net.state_dict().values()) == model["parameters"]
    seen = record(net, monkeypatch)

    y = net(values["input.x"], values.get("input.cdp"))

    tolerance = suggested(facts, "model outputs")
    assert_close(y, values["output.y"], tolerance, "output.y")
    mids = under(values, "mid.")
    assert mids
    for name, wanted in mids.items():
        assert_close(seen[name].reshape(wanted.shape), wanted, tolerance, name)


@DOUBLE_AND_SINGLE
@sections(r"model_\w+")
def test_network_reproduces_gradients(file, section, dtype):
    facts, model, tensors = read(file, section)
    values = under(tensors, model["prefix"], dtype)
    wanted = under(values, "grad.")
    if not wanted:
        pytest.skip(f"the file stores no gradients for {section}")
    net = import_network(under(values, "state.")).to(dtype)
    inputs = {name: values[name].requires_grad_() for name in ("input.x", "input.cdp") if name in values}

    (net(*inputs.values()) * values["input.grad_weight"]).sum().backward()

    for parameter in net.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    ours = export_state(net) | {name: value.grad for name, value in inputs.items()}
    for name, gradient in wanted.items():
        assert_close(ours[name], gradient, suggested(facts, "gradients"), name)


@sections(r"model_\w+")
def test_state_dict_survives_import_and_export(file, section):
    _, model, tensors = read(file, section)
    state = under(tensors, model["prefix"] + "state.")

    back = export_state(import_network(state))

    assert set(back) == set(state)
    assert all(torch.equal(back[name], value) for name, value in state.items())


@DOUBLE_AND_SINGLE
@sections("moco")
def test_encoder_and_contrastive_step(file, section, dtype):
    facts, moco, tensors = read(file, section)
    contrast = contrast_of(moco, tensors, dtype).eval()
    values = under(tensors, moco["prefix"], dtype)
    query, key = values["input.im_q"], values["input.im_k"]
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
    ours |= {f"query_after.{name}": value for name, value in under(state, "encoder_q.").items()}
    ours |= {f"key_after.{name}": value for name, value in under(state, "encoder_k.").items()}
    for parameter in contrast.query.parameters():
        parameter.data = parameter.grad
    ours |= {f"grad.{name}": value for name, value in export_state(contrast).items() if name.startswith("encoder_q.")}
    for name, wanted in under(values, "output.").items():
        loose = name.startswith("grad.") or name in ("train_logits", "train_loss")
        tolerance = suggested(facts, "gradients" if loose else "model outputs")
        assert_close(ours[name], wanted, tolerance, name)


@sections("metrics")
def test_losses(file, section):
    _, part, tensors = read(file, section)
    values = under(tensors, part["prefix"], torch.float64)
    truth, result = values["input.hr"], values["input.out"].requires_grad_()
    tolerance = first_number(part["tolerance"])

    loss = reconstruction_loss(result, truth)
    loss.backward()

    assert abs(loss.item() - part["loss_total"]) <= tolerance
    assert abs(F.l1_loss(result, truth).item() - part["loss_l1"]) <= tolerance
    assert_close(result.grad, values["output.loss_grad_out"], 1e-4, "gradient of the loss")
    similarity = [structural_similarity(result, truth, dims=3)]
    similarity += [structural_similarity(result.movedim(i, 2), truth.movedim(i, 2)) for i in (2, 3, 4)]
    assert abs(1 - similarity[0].item() - part["loss_ssim"]) <= tolerance
    np.testing.assert_allclose([value.item() for value in similarity], part["ssim"], rtol=0, atol=tolerance)


@sections("metrics")
def test_signal_to_noise_ratio(file, section):
    pytest.skip("PSNR is no part of the method; the metrics room has its own golden file")


@sections("lr_multiplier")
def test_learning_rate_multiplier(file, section):
    _, part, _ = read(file, section)
    for step, wanted in part["samples"].items():
        ours = warmup_cosine(int(step), part["warmup_steps"], part["total_steps"])
        assert abs(ours - wanted) <= 1e-12 + 1e-9 * wanted, step
