"""Metrics against scikit-learn, SciPy and values one can work out."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from sklearn.neighbors import KNeighborsClassifier

from helpers.metrics import (
    alignment,
    contrastive_rank,
    knn_predict,
    mean_interval,
    proportion_interval,
    spread,
    uniformity,
)


def test_knn_equals_scikit_learn():
    features, labels = torch.randn(200, 8), torch.randint(0, 5, (200,))
    features += 1.5 * F.one_hot(labels, 8)
    asked = torch.randn(60, 8) + 1.5 * F.one_hot(torch.randint(0, 5, (60,)), 8)
    reference = KNeighborsClassifier(
        7, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.1)
    )
    expected = reference.fit(features.numpy(), labels.numpy()).predict(asked.numpy())
    assert (knn_predict(features, labels, asked, neighbors=7).numpy() == expected).all()


def test_knn_with_fewer_images_than_neighbors():
    assert knn_predict(
        torch.eye(3), torch.tensor([2, 0, 1]), torch.eye(3), neighbors=50
    ).tolist() == [2, 0, 1]


def test_contrastive_rank():
    perfect = torch.randn(10, 6).repeat(2, 1)
    assert [value.item() for value in contrastive_rank(perfect)] == [1, 1]
    collapsed = [value.item() for value in contrastive_rank(torch.ones(20, 6))]
    assert collapsed == [0, 10], "all alike: never first, rank N"
    top1, rank = contrastive_rank(torch.randn(1000, 64))
    assert top1 < 0.02
    assert rank.item() == pytest.approx(500, rel=0.1)


def test_alignment_uniformity_and_spread():
    x = torch.randn(50, 3)
    assert alignment(x, 5 * x).item() == pytest.approx(0, abs=1e-6)
    assert alignment(x, -x).item() == pytest.approx(4, abs=1e-5)
    assert uniformity(torch.ones(9, 3)).item() == pytest.approx(0, abs=1e-5)
    corners = torch.tensor([[1.0, 0], [-1, 0]])
    assert uniformity(corners).item() == pytest.approx(-8)
    assert spread(torch.ones(9, 3)).item() == pytest.approx(0, abs=1e-6)
    assert spread(corners).item() == pytest.approx(1)


def test_intervals():
    mean, width = mean_interval([0.5, 0.6, 0.7])
    low, high = scipy.stats.t.interval(0.95, 2, loc=0.6, scale=scipy.stats.sem([0.5, 0.6, 0.7]))
    assert (mean - width, mean + width) == pytest.approx((low, high))
    assert math.isnan(mean_interval([0.5])[1])
    expected = scipy.stats.binomtest(83, 100).proportion_ci(method="wilson")
    assert proportion_interval(83, 100) == pytest.approx((expected.low, expected.high))
    assert proportion_interval(0, 10)[0] == pytest.approx(0, abs=1e-12)
