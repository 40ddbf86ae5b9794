"""NT-Xent against the paper's loops, two other libraries, known values, and the table of classic
mistakes.
"""

import math
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss as LightlyLoss
from pytorch_metric_learning.losses import NTXentLoss as MetricLearningLoss

from helpers.losses import cosine_similarity, nt_xent, nt_xent_in_blocks, positive_index


def paper_loops(z, temperature):
    """Equation 1 and Algorithm 1, one pair at a time, with plain numbers; rows k and k + N are a
    pair.
    """
    z = z.double()
    count, total = len(z), 0.0

    def similarity(i, j):
        return torch.dot(z[i], z[j]) / (z[i].norm() * z[j].norm())

    for i in range(count):
        j = (i + count // 2) % count
        denominator = sum(torch.exp(similarity(i, k) / temperature) for k in range(count) if k != i)
        total = total - torch.log(torch.exp(similarity(i, j) / temperature) / denominator)
    return total / count


@pytest.mark.parametrize(
    "form", [nt_xent, nt_xent_in_blocks, lambda z, t: nt_xent_in_blocks(z, t, block_rows=3)]
)
@pytest.mark.parametrize("images", [2, 3, 8])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 2.0])
def test_value_and_gradient_equal_the_papers_loops(form, images, temperature):
    z = torch.randn(2 * images, 5, dtype=torch.float64).float().requires_grad_()
    expected = paper_loops(z, temperature)
    (expected_gradient,) = torch.autograd.grad(expected, z)
    value = form(z, temperature)
    (gradient,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient.float(), rtol=1e-4, atol=1e-6)


def test_equals_lightly_and_pytorch_metric_learning():
    z = torch.randn(32, 16)
    assert nt_xent(z, 0.3).item() == pytest.approx(
        LightlyLoss(temperature=0.3)(z[:16], z[16:]).item(), abs=1e-5
    )
    labels = torch.arange(16).repeat(2)
    assert nt_xent(z, 0.3).item() == pytest.approx(
        MetricLearningLoss(temperature=0.3)(z, labels).item(), abs=1e-5
    )


def test_known_values():
    n = 256
    assert nt_xent(torch.ones(2 * n, 128)).item() == pytest.approx(math.log(2 * n - 1), abs=1e-5)
    for temperature in (0.1, 0.5, 1.0):
        aligned = torch.eye(64).repeat(2, 1)  # pairs equal, all else at right angles
        floor = math.log1p((2 * 64 - 2) * math.exp(-1 / temperature))
        assert nt_xent(aligned, temperature).item() == pytest.approx(floor, abs=1e-5)


def test_the_table_of_known_values_in_the_notebooks():
    n, d = 256, 128
    random = torch.randn(2 * n, d, generator=torch.Generator().manual_seed(1))
    assert nt_xent(torch.ones(2 * n, d)).item() == pytest.approx(6.236, abs=0.001)
    assert nt_xent(random).item() == pytest.approx(6.261, abs=0.02)
    assert nt_xent(random[:n].repeat(2, 1)).item() == pytest.approx(4.264, abs=0.02)


def test_scale_of_projections_does_not_matter_and_order_of_pairs_does_not_either():
    z = torch.randn(20, 8)
    assert nt_xent(z * 17).item() == pytest.approx(nt_xent(z).item(), abs=1e-6)
    order = torch.randperm(10)
    assert nt_xent(z[torch.cat([order, order + 10])]).item() == pytest.approx(
        nt_xent(z).item(), abs=1e-6
    )
    assert nt_xent(z.roll(10, 0)).item() == pytest.approx(nt_xent(z).item(), abs=1e-6)


def test_each_classic_mistake_has_another_value():
    z, n, t = torch.randn(16, 6), 8, 0.2
    s = cosine_similarity(z) / t
    right, positives = nt_xent(z, t), positive_index(16)
    masked = s.clone().fill_diagonal_(-math.inf)
    mistakes = {
        "self-similarity not masked": F.cross_entropy(s, positives),
        "masked with 0": F.cross_entropy(s.clone().fill_diagonal_(0), positives),
        "not normalised": F.cross_entropy((z @ z.T / t).fill_diagonal_(-math.inf), positives),
        "wrong positive": F.cross_entropy(masked, torch.arange(16) ^ 1),
        "times temperature": F.cross_entropy((s * t * t).fill_diagonal_(-math.inf), positives),
        "one direction": F.cross_entropy(s[:n, n:], torch.arange(n)),
        "divided by N": F.cross_entropy(masked, positives, reduction="sum") / n,
        "softmax first": F.cross_entropy(masked.softmax(1), positives),
    }
    for name, value in mistakes.items():
        assert abs(value - right) > 1e-3, name


def test_cosine_similarity():
    x = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    found = cosine_similarity(x)
    expected = F.cosine_similarity(x[:, None], x[None], dim=2)
    torch.testing.assert_close(found, expected)
    assert found[0, 2] == -1
    assert found[4].eq(0).all()


@pytest.mark.parametrize("rows", [0, 2, 3, 7])
def test_odd_or_too_few_projections_are_refused(rows):
    with pytest.raises(ValueError, match="two views of each image"):
        nt_xent(torch.randn(rows, 4))


@pytest.mark.parametrize("temperature", [0, -0.5, math.nan])
def test_temperature_must_be_positive(temperature):
    for form in (nt_xent, nt_xent_in_blocks):
        with pytest.raises(ValueError, match=r"temperature must be above 0"):
            form(torch.randn(8, 4), temperature)


def test_half_precision_projections_give_the_loss_of_their_values():
    z = torch.randn(64, 32).bfloat16()
    assert nt_xent(z, 0.1).item() == pytest.approx(nt_xent(z.float(), 0.1).item(), abs=1e-6)
    assert torch.isfinite(nt_xent(torch.randn(64, 32).half() * 100, 0.05))


@pytest.mark.slow
def test_16384_projections_within_one_gib():
    """In a process of its own: ru_maxrss is the peak of all that the process ever held."""
    program = """
import resource, torch
from helpers.losses import nt_xent_in_blocks
z = torch.randn(16384, 128, requires_grad=True)
nt_xent_in_blocks(torch.randn(64, 128, requires_grad=True)).backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
nt_xent_in_blocks(z, 0.2).backward()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert float(done.stdout) < 1.0, "GiB"
