"""The encoders that ship, each with its scores on its card, and index.json."""

import json
from itertools import product

from data.make.runs import RUNS, trained
from helpers.artifacts import CHECKPOINTS, sha256, write_text
from helpers.data import load
from helpers.evaluation import evaluate
from helpers.metrics import proportion_interval
from helpers.simclr import Settings, load_pretrained, settings_for

SEEN, NEW = (
    ("disc", "ring", "drop", "triangle", "square", "star"),
    ("moon", "heart", "cross", "arrow"),
)
# For two hours on two cores: the smaller of the two recipes that did best at that length in
# recipes.csv, and that one seed does not tell apart ("fine, 384, full" and "fine, long h, full").
LONG = settings_for(
    "laptop",
    "cifar10",
    encoder="small",
    batch_size=256,
    lr=3e-3,
    crop_min=0.08,
    epochs=100.0,
    warmup_epochs=5.0,
)


def make_encoder(
    name: str,
    data: str,
    settings: Settings,
    snapshots: tuple[float, ...] = (),
    classes: tuple[str, ...] = (),
    judged_by: tuple[str, ...] = (),
    devices: int = 1,
) -> None:
    """Train an encoder, score it on test images, and ship it, and how it was after some of its
    epochs.
    """
    folder = f"{name}-seed{settings.seed}"
    result = trained(folder, data, settings, snapshots, classes=classes, devices=devices)
    parts = [load(data, split) for split in ("train", "val", "test")]
    if judged_by:
        parts = [part.only(judged_by) for part in parts]
    count = len(parts[2])
    scores = [
        evaluate(result.encoder, *parts, probe_labels=labels)
        for labels in sorted({5000, len(parts[0])})
        if labels <= len(parts[0])
    ]
    for score, kind in product(scores, ("knn", "probe")):  # over test images; there is one seed
        score[f"{kind}_interval"] = [
            round(end, 4) for end in proportion_interval(round(score[kind] * count), count)
        ]
    result.card |= {
        "command": f"python data/make.py {name}",
        "test_images": count,
        "test": scores,
        "test_classes": parts[2].classes,
    }
    result.save(CHECKPOINTS / f"{name}.safetensors", half=True)
    for epoch in snapshots:
        kept = load_pretrained(RUNS / folder / f"epoch-{epoch:g}.safetensors")
        kept.card["command"] = result.card["command"]
        kept.save(CHECKPOINTS / f"{name}-epoch{epoch:g}.safetensors", half=True)
    write_index()
    print(json.dumps(result.card, indent=1))


def write_index() -> None:
    """Write the SHA-256 of every shipped checkpoint to index.json."""
    index = {path.stem: sha256(path) for path in sorted(CHECKPOINTS.glob("*.safetensors"))}
    write_text(CHECKPOINTS / "index.json", json.dumps(index, indent=1) + "\n")
