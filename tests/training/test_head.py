"""Log-probs in chunks: values, statistics and gradients are those of all logits."""

import pytest
import torch

from trl_weighted_dpo.training import head
from trl_weighted_dpo.training.head import LogitTransform, logit_transform, score_labels

TRANSFORMS = [LogitTransform(), LogitTransform(scale=0.25), LogitTransform(cap=3.0), LogitTransform(2.0, 5.0)]


def parts(count=11, dtype=torch.float64, bias=True):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(count, 6, generator=generator, dtype=dtype)
    weight = torch.randn(9, 6, generator=generator, dtype=dtype)
    offset = torch.randn(9, generator=generator, dtype=dtype) if bias else None
    labels = torch.randint(9, (count,), generator=generator)
    return [t if t is None else t.requires_grad_() for t in (hidden, weight, offset)], labels


def all_logits(hidden, weight, bias, labels, transform):
    logits = transform(torch.nn.functional.linear(hidden, weight, bias))
    log_probs = logits.log_softmax(1)
    return logits, log_probs, log_probs.gather(1, labels[:, None])[:, 0]


@pytest.fixture(params=[True, False], ids=["kept", "recomputed"])
def small_chunks(request, monkeypatch):
    """Chunks of three positions, with exponentials kept for the gradient and not."""
    monkeypatch.setattr(head, "LEAST_ROWS", 3)
    monkeypatch.setitem(head.CHUNK_BYTES, "cpu", 0)
    if not request.param:
        monkeypatch.setattr(head, "KEPT_BYTES", 0)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("bias", [True, False])
def test_log_probs_and_gradients(small_chunks, transform, bias):
    results = []
    for chunked in (True, False):
        tensors, labels = parts(bias=bias)
        if chunked:
            logps = score_labels(*tensors, labels, transform, statistics=True, wpo=True).logps
        else:
            logps = all_logits(*tensors, labels, transform)[2]
        (logps * torch.linspace(-1, 2, 11, dtype=torch.float64)).sum().backward()
        results.append([logps, *(tensor.grad for tensor in tensors if tensor is not None)])
    for measured, expected in zip(*results, strict=True):
        torch.testing.assert_close(measured, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_gradients_by_finite_differences(small_chunks, transform):
    tensors, labels = parts(4)
    assert torch.autograd.gradcheck(lambda *given: score_labels(*given, labels, transform).logps, tuple(tensors))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_statistics(small_chunks, transform):
    tensors, labels = parts()
    logits, log_probs, _ = all_logits(*tensors, labels, transform)
    found = score_labels(*tensors, labels, transform, statistics=True, wpo=True)
    torch.testing.assert_close(found.entropy, -(log_probs.exp() * log_probs).sum(1))
    torch.testing.assert_close(found.mean_logit, logits.mean(1))
    torch.testing.assert_close(found.squares, (2 * log_probs).logsumexp(1))
    assert torch.equal(found.top1, (logits.argmax(1) == labels).double())
    assert not any(value.requires_grad for value in (found.entropy, found.mean_logit, found.top1, found.squares))


def test_what_is_not_asked_for_is_not_there():
    tensors, labels = parts()
    found = score_labels(*tensors, labels, LogitTransform())
    assert (found.entropy, found.mean_logit, found.top1, found.squares) == (None, None, None, None)


def test_a_frozen_head_gets_no_gradient(small_chunks):
    (hidden, weight, bias), labels = parts()
    score_labels(hidden, weight.detach(), bias.detach(), labels, LogitTransform()).logps.sum().backward()
    assert hidden.grad is not None
    assert weight.grad is None


def test_nothing_is_kept_without_a_gradient(monkeypatch):
    kept = []
    apply = head._ChunkedLogProbs.forward
    monkeypatch.setattr(
        head._ChunkedLogProbs,
        "forward",
        staticmethod(lambda ctx, *given: (apply(ctx, *given), kept.append(ctx.kept))[0]),
    )
    tensors, labels = parts()
    score_labels(*tensors, labels, LogitTransform())
    with torch.no_grad():
        score_labels(*tensors, labels, LogitTransform())
    assert [len(chunks) for chunks in kept] == [1, 0]


def test_two_passes_backward_give_twice_the_gradient(small_chunks):
    tensors, labels = parts()
    loss = score_labels(*tensors, labels, LogitTransform()).logps.sum()
    loss.backward(retain_graph=True)
    once = [tensor.grad.clone() for tensor in tensors]
    loss.backward()
    for tensor, expected in zip(tensors, once, strict=True):
        torch.testing.assert_close(tensor.grad, 2 * expected)


def test_no_positions_keep_the_graph():
    tensors, labels = parts(0)
    found = score_labels(*tensors, labels, LogitTransform(), statistics=True, wpo=True)
    assert found.logps.shape == found.entropy.shape == found.squares.shape == (0,)
    found.logps.sum().backward()
    assert all(not tensor.grad.any() for tensor in tensors)


def test_half_precision_is_summed_in_float32():
    tensors, labels = parts(dtype=torch.bfloat16)
    found = score_labels(*tensors, labels, LogitTransform())
    assert found.logps.dtype == torch.float32
    found.logps.sum().backward()
    exact, _ = parts()
    for tensor, other in zip(tensors, exact, strict=True):
        other.data.copy_(tensor.data)
    all_logits(*exact, labels, LogitTransform())[2].sum().backward()
    for tensor, other in zip(tensors, exact, strict=True):
        assert tensor.grad.dtype == torch.bfloat16
        assert (tensor.grad - other.grad).norm() <= 0.02 * other.grad.norm()


def test_autocast_computes_in_its_precision_and_keeps_float32_gradients():
    tensors, labels = parts(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        measured = score_labels(*tensors, labels, LogitTransform()).logps
        logits = torch.nn.functional.linear(*tensors).float()
    expected = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(measured, expected, rtol=1e-6, atol=1e-6)
    measured.sum().backward()
    assert all(tensor.grad.dtype == torch.float32 for tensor in tensors)


@pytest.mark.parametrize(
    ("config", "settings", "transform"),
    [
        ("Qwen2Config", {}, LogitTransform()),
        ("Gemma2Config", {"final_logit_softcapping": 30.0}, LogitTransform(cap=30.0)),
        ("Gemma2Config", {"final_logit_softcapping": None}, LogitTransform()),
        ("GraniteConfig", {"logits_scaling": 8.0}, LogitTransform(scale=0.125)),
        ("Cohere2Config", {"logit_scale": 0.25}, LogitTransform(scale=0.25)),
    ],
)
def test_transforms_of_models(config, settings, transform):
    import transformers

    assert logit_transform(getattr(transformers, config)(**settings)) == transform
