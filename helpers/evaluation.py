"""What is a frozen encoder worth? Features, kNN accuracy and the linear probe."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from helpers.data import ImageSet
from helpers.metrics import knn_predict
from helpers.runtime import HALF, pick_precision

# C of the logistic regression: larger is less regularised
PROBE_STRENGTHS = (
    0.001,
    0.003,
    0.01,
    0.03,
    0.1,
    0.3,
    1.0,
)


class Diverged(ValueError):
    """A training whose loss or features are no longer finite."""


@torch.inference_mode()
def extract_features(encoder: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """Return the representations of images in their order, float32 (N, D), on the CPU.

    The encoder is put in eval mode for the while, so that nothing in it moves, and each part back
    into its own mode.

    Args:
        encoder: Maps float images in [0, 1] to (N, D).
        images: uint8 or float in [0, 1], shape (N, 3, H, W).
        batch_size: Images at a time.
    """
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    half = HALF.get(pick_precision(device))
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    try:
        features = []
        for batch in images.split(batch_size):
            batch = batch.to(device, non_blocking=True)
            batch = batch.float().div_(255) if batch.dtype == torch.uint8 else batch.float()
            with torch.autocast(device.type, half, enabled=half is not None):
                features.append(
                    encoder(batch.contiguous(memory_format=torch.channels_last)).float().cpu()
                )
        return torch.cat(features)
    finally:
        for module, training in modes:
            module.training = training


def check_finite(*features: Tensor) -> None:
    """Refuse features that no classifier could use.

    Raises:
        Diverged: If one is NaN or infinite.
    """
    if not all(each.isfinite().all() for each in features):
        raise Diverged(
            "some features are NaN or infinite: the encoder's training diverged; take another "
            "encoder, or train it again with a lower learning rate"
        )


def knn_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    features: Tensor,
    labels: Tensor,
    neighbors: int = 20,
) -> float:
    """Return the share of features (M, D) whose nearest training features (N, D) vote for their
    label.
    """
    return (
        (knn_predict(train_features, train_labels, features, neighbors) == labels)
        .float()
        .mean()
        .item()
    )


@dataclass(frozen=True)
class Probe:
    """A linear probe's result: accuracy on the test features, the accuracy on val that chose it,
    and its C.
    """

    accuracy: float
    val_accuracy: float
    strength: float


def linear_probe(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    strengths: tuple[float, ...] = PROBE_STRENGTHS,
) -> Probe:
    """Fit logistic regression on frozen features; validation chooses its strength, then test is
    read once.

    Args:
        train, val, test: (features (N, D), labels (N,)) each. Features are standardised by train's
            mean and spread.
        strengths: The values of scikit-learn's C to choose among.

    Raises:
        ValueError: If a feature is not finite, or train holds a single class.
    """
    arrays = [
        (np.asarray(features, np.float32), np.asarray(labels))
        for features, labels in (train, val, test)
    ]
    check_finite(*(torch.from_numpy(features) for features, _ in arrays))
    if len(np.unique(arrays[0][1])) < 2:
        raise ValueError("a probe needs images of at least two classes to tell apart")
    best = None
    for strength in strengths:
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, max_iter=300, tol=1e-3)
        )
        with warnings.catch_warnings():
            # 300 steps are the budget, the same for all
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(*arrays[0])
        score = model.score(*arrays[1])
        if best is None or score > best[1]:
            best = (model, score, strength)
    model, score, strength = best
    return Probe(float(model.score(*arrays[2])), float(score), strength)


def map_2d(features: Tensor, method: str = "PCA", seed: int = 0) -> Tensor:
    """Return a place on a map for each feature vector: float32 (N, 2) from -1 to 1.

    Args:
        features: Shape (N, D); standardised here.
        method: "PCA", the two directions along which the vectors differ most, or "t-SNE", which
            keeps near ones near and says nothing of far ones.
        seed: Chooses t-SNE's course.
    """
    standard = StandardScaler().fit_transform(features.numpy())
    if method == "PCA":
        places = PCA(2, random_state=seed).fit_transform(standard)
    elif method == "t-SNE":
        perplexity = min(30.0, (len(features) - 1) / 3)
        places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(
            standard
        )
    else:
        raise ValueError(f"unknown map {method!r}; choose PCA or t-SNE")
    low, high = places.min(axis=0), places.max(axis=0)
    return torch.from_numpy(2 * (places - low) / np.maximum(high - low, 1e-12) - 1).float()


def evaluate(
    encoder: nn.Module,
    train: ImageSet,
    val: ImageSet,
    test: ImageSet,
    probe_labels: int = 5000,
    seed: int = 0,
    strengths: tuple[float, ...] = PROBE_STRENGTHS,
) -> dict[str, float]:
    """Return kNN and linear-probe accuracy on test of an encoder; `nn.Flatten()` as the encoder
    means raw pixels.

    kNN asks all of train; the probe gets `probe_labels` of it, chosen by seed, and chooses among
    `strengths`.
    """
    features = [extract_features(encoder, part.images) for part in (train, val, test)]
    few = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:probe_labels]
    probe = linear_probe(
        (features[0][few], train.labels[few]),
        (features[1], val.labels),
        (features[2], test.labels),
        strengths,
    )
    return {
        "knn": knn_accuracy(features[0], train.labels, features[2], test.labels),
        "probe": probe.accuracy,
        "probe_labels": len(few),
        "probe_val": probe.val_accuracy,
        "probe_C": probe.strength,
    }
