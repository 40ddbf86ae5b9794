"""Encoders and heads: shapes, sizes, the stem for small images, and what may not be asked for."""

import pytest
import torch
from torch import nn

from helpers.models import ProjectionHead, TinyResNet, build_encoder


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("size", [8, 16, 20, 28, 32, 50, 64, 90, 96, 224])
def test_tiny_is_about_a_million_parameters(size):
    encoder = build_encoder("tiny", size)
    assert 0.6e6 < count(encoder) < 1.4e6
    assert encoder(torch.rand(2, 3, size, size)).shape == (2, encoder.feature_dim)


def test_a_tiny_network_can_be_wider_deeper_and_finer():
    small = build_encoder("small")
    assert small.feature_dim == 384
    assert 2.6e6 < count(small) < 2.7e6
    seen = []
    for options, blocks in (({}, 2), ({"blocks": 3}, 6), ({"second_stride": 1}, 2)):
        net = TinyResNet((16, 32), **options)
        assert sum(type(layer).__name__ == "_Block" for layer in net.layers) == blocks
        seen.append(net.layers(torch.rand(1, 3, 32, 32)).shape)
    assert seen == [(1, 32, 4, 4), (1, 32, 4, 4), (1, 32, 8, 8)]


@pytest.mark.parametrize(
    ("name", "feature_dim", "parameters"),
    [("resnet18", 512, 11_689_512), ("resnet34", 512, 21_797_672), ("resnet50", 2048, 25_557_032)],
)
def test_resnets_are_torchvisions_without_the_last_layer(name, feature_dim, parameters):
    encoder = build_encoder(name, 224)
    assert encoder.feature_dim == feature_dim
    assert count(encoder) == parameters - (feature_dim + 1) * 1000


def test_resnet_keeps_the_resolution_of_small_images():
    small, large = build_encoder("resnet18", 32), build_encoder("resnet18", 96)
    seen = []
    small.net.layer1.register_forward_hook(lambda *call: seen.append(call[2].shape[-1]))
    large.net.layer1.register_forward_hook(lambda *call: seen.append(call[2].shape[-1]))
    small(torch.rand(1, 3, 32, 32))
    large(torch.rand(1, 3, 96, 96))
    assert seen == [32, 24]


@pytest.mark.parametrize(
    ("kind", "layers", "out_dim"), [("nonlinear", 5, 128), ("linear", 1, 128), ("none", 0, 64)]
)
def test_heads(kind, layers, out_dim):
    head = ProjectionHead(64, kind=kind)
    h = torch.rand(4, 64)
    assert len(head.layers) == layers
    assert head(h).shape == (4, out_dim)
    assert head.out_dim == out_dim
    if kind == "none":
        assert torch.equal(head(h), h)


def test_a_linear_head_is_linear_and_a_nonlinear_one_is_not():
    a, b = torch.randn(8, 16), torch.randn(8, 16)
    for kind, linear in (("linear", True), ("nonlinear", False)):
        head = ProjectionHead(16, kind=kind).eval()
        zero = head(torch.zeros(8, 16))
        assert torch.allclose(head(a + b) - zero, head(a) + head(b) - 2 * zero, atol=1e-5) == linear


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown encoder 'vgg'; choose one of tiny"):
        build_encoder("vgg")
    with pytest.raises(ValueError, match="unknown projection head"):
        ProjectionHead(8, kind="deep")
