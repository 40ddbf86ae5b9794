"""The encoder f and the projection head g: h = f(view), z = g(h)."""

import torch
import torchvision
from torch import Tensor, nn

ENCODERS = ("tiny", "small", "resnet18", "resnet34", "resnet50")
HEADS = ("nonlinear", "linear", "none")


class Encoder(nn.Module):
    """An encoder f; `feature_dim` is the length of its representation h."""

    feature_dim: int


def build_encoder(name: str, image_size: int = 32) -> Encoder:
    """Return an untrained encoder with the attribute `feature_dim`, the length of its
    representation h.

    It maps images, float (N, 3, image_size, image_size) in [0, 1], to representations (N,
    feature_dim).

    Args:
        name: "tiny" (about 1 M parameters, for minutes on a CPU), "small" (2.6 M, at twice the
            resolution, for hours on a CPU), "resnet18", "resnet34" or "resnet50".
        image_size: Side of the images in pixels. ResNets get the 3x3 stride-1 stem without max-pool
            up to 64 px.

    Raises:
        ValueError: If the name is unknown.

    Source: Chen et al. 2020, section 2.2 and B.9 (the stem for small images).
    """
    if name == "tiny":
        return TinyResNet(image_size=image_size)
    if name == "small":
        return TinyResNet((32, 64, 192, 384), image_size, second_stride=1)
    if name in ENCODERS:
        return _ResNet(name, image_size)
    raise ValueError(f"unknown encoder {name!r}; choose one of {', '.join(ENCODERS)}")


class ProjectionHead(nn.Module):
    """The projection head g: it maps h to z, where the loss is taken, and is thrown away after
    pretraining.

    Args:
        in_dim: Length of h.
        hidden_dim: Width of the hidden layer; in_dim where it is not given. For "nonlinear" only.
        out_dim: Length of z; for "none" z is h, and this is not used.
        kind: "nonlinear" (linear, BatchNorm, ReLU, linear, BatchNorm), "linear" or "none".

    Source: Chen et al. 2020, section 4.2. The BatchNorm layers are in Google's code, not in the
    paper's formula.
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int | None = None,
        out_dim: int = 128,
        kind: str = "nonlinear",
    ):
        super().__init__()
        hidden_dim = hidden_dim or in_dim
        if kind == "nonlinear":
            layers = [
                nn.Linear(in_dim, hidden_dim, bias=False),
                nn.BatchNorm1d(hidden_dim),
                nn.ReLU(),
                nn.Linear(hidden_dim, out_dim, bias=False),
                nn.BatchNorm1d(out_dim),
            ]
        elif kind == "linear":
            layers = [nn.Linear(in_dim, out_dim)]
        elif kind == "none":
            layers, out_dim = [], in_dim
        else:
            raise ValueError(f"unknown projection head {kind!r}; choose one of {', '.join(HEADS)}")
        self.layers = nn.Sequential(*layers)
        self.out_dim = out_dim

    def forward(self, h: Tensor) -> Tensor:
        return self.layers(h)


class ScalePixels(nn.Module):
    """Scale pixels from [0, 1] to about mean 0 and spread 1, so that no caller can forget it."""

    def forward(self, images: Tensor) -> Tensor:
        return (images - 0.5) * 4.0


class TinyResNet(Encoder):
    """A residual network of about 1 M parameters for CPUs: two strided convolutions, then three
    residual blocks.

    Nearly all its work is done at an eighth to a quarter of the resolution, where a CPU is quick.

    Args:
        widths: Channels of the stages; each stage after the first halves the resolution.
        image_size: Side of the images in pixels; above 48 px the first convolution's stride is 4
            instead of 2.
        blocks: Residual blocks in each stage.
        second_stride: Stride of the second convolution; 1 works at twice the resolution, and costs
            more.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (56, 112, 224),
        image_size: int = 32,
        blocks: int = 1,
        second_stride: int = 2,
    ):
        super().__init__()
        stride = 2 if image_size <= 48 else 4
        layers = [
            ScalePixels(),
            *_convolution(3, 32, stride + 2, stride),
            *_convolution(32, widths[0], 3, second_stride),
        ]
        for index, width in enumerate(widths):
            layers.append(_Block(widths[max(index - 1, 0)], width, stride=1 if index == 0 else 2))
            layers += [_Block(width, width, stride=1) for _ in range(blocks - 1)]
        self.layers = nn.Sequential(*layers)
        self.feature_dim = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean(dim=(2, 3))  # (N, C, H, W) -> (N, feature_dim)


def _convolution(in_dim: int, out_dim: int, kernel_size: int, stride: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(in_dim, out_dim, kernel_size, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_dim),
        nn.ReLU(inplace=True),
    )


class _Block(nn.Module):
    def __init__(self, in_dim: int, out_dim: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_dim, out_dim, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_dim)
        self.conv2 = nn.Conv2d(out_dim, out_dim, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_dim)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_dim != out_dim:
            # ceil_mode: odd sides give as many pixels as the strided convolution does.
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(in_dim, out_dim, 1, bias=False),
                nn.BatchNorm2d(out_dim),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class _ResNet(Encoder):
    def __init__(self, name: str, image_size: int):
        super().__init__()
        net = getattr(torchvision.models, name)(weights=None, zero_init_residual=True)
        self.feature_dim = net.fc.in_features
        net.fc = nn.Identity()
        if image_size <= 64:
            net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            net.maxpool = nn.Identity()
        self.scale, self.net = ScalePixels(), net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(self.scale(images))
