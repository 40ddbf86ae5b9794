"""Both families with the same budget."""

import sys

from torch import nn

from data.make.encoders import write_index
from data.make.runs import RUNS, made_how, random_encoder, trained
from helpers.artifacts import CHECKPOINTS, RESULTS
from helpers.data import load
from helpers.evaluation import evaluate
from helpers.pretext import TASKS, PretextSettings, load_pretext, train_pretext
from helpers.results import write_results
from helpers.simclr import settings_for


def make_pretext(photos: str, seeds: int, photo_seeds: int) -> None:
    """Both families on the same images with the same budget: as many images through the encoder as
    SimCLR's views.
    """
    rows = []
    for data in (photos, "shapes"):
        shapes = data == "shapes"
        parts = [load(data, split) for split in ("train", "val", "test")]
        label = data if data in ("shapes", "cifar10") else "CIFAR-10 (JPEG)"
        for seed in range(seeds if shapes else photo_seeds):
            simclr = settings_for("laptop", data, seed=seed)
            steps = round(simclr.epochs * (len(parts[0]) // simclr.batch_size))
            found = {"raw pixels": (nn.Flatten(), None, {})} if seed == 0 else {}
            found["random encoder"] = (random_encoder(seed), None, {})
            run = trained(f"laptop-{'shapes' if shapes else 'cifar10'}-seed{seed}", data, simclr)
            budget = (run.history[-1]["step"], 2 * run.settings.batch_size, run.settings.crop_min)
            found["SimCLR"] = (run.encoder, budget, run.card)
            for task in TASKS:
                wanted = PretextSettings(
                    task, steps, 2 * simclr.batch_size, crop_min=simclr.crop_min, seed=seed
                )
                kept = (
                    RUNS
                    / f"pretext-{task}-{'shapes' if shapes else 'cifar10'}-seed{seed}.safetensors"
                )
                if not kept.exists():
                    train_pretext(parts[0], wanted).save(kept)
                result = load_pretext(kept)
                made = PretextSettings(**result.card["settings"])
                if made != wanted or result.card["data"] != parts[0].name:
                    sys.exit(
                        f"{kept} was trained otherwise ({made} on {result.card['data']}); remove it"
                    )
                found[task] = (
                    result.net.encoder,
                    (made.steps, made.batch_size, made.crop_min),
                    result.card,
                )
                if not shapes and seed == 0:
                    result.card["command"] = "python data/make.py pretext"
                    result.save(CHECKPOINTS / f"pretext-{task}.safetensors")
            for condition, (encoder, budget, card) in found.items():
                rows.append(
                    {
                        "data": label,
                        "condition": condition,
                        "seed": seed,
                        **evaluate(encoder, *parts),
                        "test_images": len(parts[2]),
                    }
                )
                if budget:
                    rows[-1] |= {
                        "steps": budget[0],
                        "batch": budget[1],
                        "images_encoded": budget[0] * budget[1],
                        "crop_min": budget[2],
                        **made_how(card),
                    }
                print(rows[-1], flush=True)
            write_results(RESULTS / "pretext.csv", rows)
    write_index()
