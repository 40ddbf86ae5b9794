"""python -m helpers train: pretrain an encoder on images, without labels."""

import argparse
import dataclasses
import json
from pathlib import Path

METAVARS: dict = {int: "N", float: "X", str: "NAME"}


def add_parser(commands, with_settings: bool = True) -> None:
    """Add the command; `with_settings`: its options for every field of `settings.Settings` too,
    which needs torch.
    """
    train = commands.add_parser(
        "train",
        help="pretrain an encoder on images, without labels",
        formatter_class=argparse.RawTextHelpFormatter,
        description="Pretrain an encoder with SimCLR. The run's folder gets metrics.csv, run.json, "
        "last.ckpt\n"
        "and encoder.safetensors. Ctrl-C ends a run cleanly; the same command with --resume goes "
        "on.",
        epilog="examples:\n  python -m helpers train\n"
        "  python -m helpers train --data cifar10 --batch-size 32 --lr 0.003\n"
        "  python -m helpers train --data my_photos.zip --epochs 20 --test\n"
        "  python -m helpers train --data cifar10 --preset colab --devices 2",
    )
    train.set_defaults(run=run)
    train.add_argument(
        "--data",
        default="shapes",
        metavar="NAME",
        help="shapes, shapes-textured, digits, cifar10, "
        "cifar100, stl10, or a\nfolder or .zip of images (default: shapes)",
    )
    train.add_argument(
        "--preset",
        default="laptop",
        metavar="NAME",
        help="smoke (seconds), laptop (minutes on a CPU), "
        "colab (one GPU),\npaper (many GPUs); every option below changes one thing of it",
    )
    train.add_argument(
        "--out", metavar="FOLDER", help="the run's folder (default: runs/DATA-PRESET-seedN)"
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in the folder from where it was kept",
    )
    train.add_argument(
        "--start",
        metavar="NAME",
        help="begin with this encoder's weights: a shipped name, a run's folder\nor a file",
    )
    train.add_argument(
        "--test",
        action="store_true",
        help="at the end, read the test split once: kNN and linear probe",
    )
    train.add_argument("--limit", type=int, metavar="N", help="use only N images")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    train.add_argument(
        "--devices", type=int, default=1, metavar="N", help="how many devices share each batch"
    )
    train.add_argument(
        "--num-nodes", type=int, default=1, metavar="N", help="how many hosts take part"
    )
    train.add_argument(
        "--keep-seconds",
        type=float,
        default=30,
        metavar="X",
        help="how often the run is kept (default: 30)",
    )
    train.add_argument("--no-progress", action="store_true", help="no progress bar")
    if with_settings:
        _add_settings(train)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    from helpers.settings import Settings

    group = parser.add_argument_group("settings (the default is the preset's)")
    for field in dataclasses.fields(Settings):
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=f"set_{field.name}",
            type=field.type,
            metavar=METAVARS[field.type],
            help=field.metadata["help"],
        )


def run(options: argparse.Namespace) -> int:
    """Pretrain, and say what the encoder has learned beside raw pixels and a random encoder."""
    from helpers.data import load
    from helpers.runtime import is_first_rank
    from helpers.simclr import find_lars, load_pretrained, pretrain, settings_for

    changes = {
        name.removeprefix("set_"): value
        for name, value in vars(options).items()
        if name.startswith("set_") and value is not None
    }
    settings = settings_for(options.preset, options.data, **changes)
    size = changes.get("image_size") or (settings.image_size if options.preset == "paper" else None)
    if settings.optimizer == "lars":
        find_lars()  # said before images are read or drawn
    if size and is_first_rank():
        print(f"preparing images of {size} px: minutes if they are many, once", flush=True)
    images = load(options.data, "train", size=size, limit=options.limit)
    val = load(options.data, "val", size=size)
    settings = dataclasses.replace(settings, image_size=images.images.shape[2])
    name = Path(options.data).stem
    out = Path(options.out or f"runs/{name}-{options.preset}-seed{settings.seed}")
    first = is_first_rank()  # of the processes that share the work, only this one prints
    if first:
        if options.resume and not (out / "last.ckpt").exists():
            print(f"there is no run in {out} to go on with: a new one begins")
        print(
            f"{len(images):,} images of {images.images.shape[2]} px from {options.data} to learn "
            f"from, {len(val):,} held out (val); encoder {settings.encoder}, batch "
            f"{settings.batch_size}, epochs {settings.epochs:g}; run in {out}",
            flush=True,
        )
    start = load_pretrained(options.start) if options.start else None
    result = pretrain(
        images,
        settings,
        val=val,
        start=start,
        out=out,
        resume=options.resume,
        device=options.device,
        devices=options.devices,
        num_nodes=options.num_nodes,
        keep_seconds=options.keep_seconds,
        progress=not options.no_progress,
    )
    if not first:
        return 0
    if result.interrupted:
        print(
            f"stopped after {result.history[-1]['step'] if result.history else 0} steps; {out} "
            "holds the encoder so far; the same command with --resume goes on"
        )
        return 130
    print(f"trained in {result.card['seconds'] / 60:.1f} min on {result.card['hardware']}")
    report(
        result, images, val, load(options.data, "test", size=size) if options.test else None, out
    )
    return 0


def report(result, images, val, test, out: Path) -> None:
    """Print accuracies on val (or, once, on test) beside raw pixels and a random encoder, and keep
    them in the run.
    """
    from torch import nn

    from helpers.artifacts import write_text
    from helpers.evaluation import evaluate, extract_features, knn_accuracy
    from helpers.metrics import proportion_interval
    from helpers.models import build_encoder
    from helpers.runtime import seed_everything

    if images.labels is None or val.labels is None:
        print(
            "the images have no labels, so there is nothing to score; look at neighbours in a "
            "notebook"
        )
        return
    seed_everything(result.settings.seed)
    encoders = {
        "raw pixels": nn.Flatten(),
        "random encoder": build_encoder(result.settings.encoder, result.settings.image_size).eval(),
        "supervised" if result.settings.objective == "supervised" else "SimCLR": result.encoder,
    }
    rows = []
    for name, encoder in encoders.items():
        if test is None:
            bank, queries = (extract_features(encoder, part.images) for part in (images, val))
            scores = {"knn": knn_accuracy(bank, images.labels, queries, val.labels)}
        else:
            scores = evaluate(encoder, images, val, test)
        asked = val if test is None else test
        parts = []
        for score in ("knn", "probe"):
            if score in scores:
                low, high = proportion_interval(round(scores[score] * len(asked)), len(asked))
                label = (
                    "kNN" if score == "knn" else f"linear probe, {scores['probe_labels']:,} labels"
                )
                parts.append(f"{label} {scores[score]:.1%} ({low:.1%} to {high:.1%})")
        print(f"{name:>15}: {'; '.join(parts)}")
        rows.append({"encoder": name, "split": asked.name, **scores})
    print(
        f"on {len(asked):,} {'held-out (val)' if test is None else 'test'} images; 95% intervals "
        "over images, not over seeds"
    )
    write_text(out / "results.json", json.dumps(rows, indent=1) + "\n")
