"""Try recipes for cifar10-tiny, and judge them on validation images.

    OMP_NUM_THREADS=1 python data/recipes.py --photos PATH [NAME..]

Short ones get the same CPU time each, on one thread. Those of full length get as many epochs as two hours on two cores
allow their network, and are meant for a GPU, where that takes minutes.

Each result is kept in runs/recipes and is not repeated; data/results/recipes.csv holds all of them.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.artifacts import RESULTS, write_aside
from helpers.data import ImageSet, load
from helpers.evaluation import extract_features, knn_accuracy, linear_probe
from helpers.models import ProjectionHead, TinyResNet
from helpers.results import write_results
from helpers.runtime import hardware, pick_device
from helpers.simclr import SimCLR, settings_for

KEPT = Path("runs/recipes")
BASE = {"cpu_minutes": 3.0, "widths": (56, 112, 224), "blocks": 1, "second_stride": 2, "head_width": 0,
        "batch_size": 256, "temperature": 0.2, "lr": 2e-3, "optimizer": "adamw", "weight_decay": 1e-4, "crop_min": 0.2,
        "color_strength": 0.5, "gray_p": 0.2}
RECIPES = {"base": {},
           # The network, each for the same CPU time: a larger one sees fewer images.
           "small": {"widths": (64, 128, 256)}, "wide": {"widths": (96, 192, 384)},
           "long h": {"widths": (64, 128, 512)},
           "fine": {"widths": (32, 64, 128, 256), "second_stride": 1}, "deep": {"widths": (64, 128, 256), "blocks": 2},
           "fine and wide": {"widths": (48, 96, 192, 384), "second_stride": 1},
           # The loss and the step.
           "τ 0.1": {"temperature": 0.1}, "τ 0.5": {"temperature": 0.5}, "B 128": {"batch_size": 128},
           "B 128, τ 0.1": {"batch_size": 128, "temperature": 0.1}, "B 512": {"batch_size": 512},
           "B 512, τ 0.1": {"batch_size": 512, "temperature": 0.1},
           "lr 1e-3": {"lr": 1e-3}, "lr 4e-3": {"lr": 4e-3}, "SGD": {"optimizer": "sgd", "lr": 0.06},
           "wd 1e-2": {"weight_decay": 1e-2}, "wide g": {"head_width": 1024},
           # The views.
           "crop from 0.08": {"crop_min": 0.08}, "crop from 0.35": {"crop_min": 0.35},
           "s 0.25": {"color_strength": 0.25}, "s 1": {"color_strength": 1.0}, "grey 0.1": {"gray_p": 0.1},
           "chosen": {"widths": (64, 128, 256), "temperature": 0.1, "lr": 3e-3, "crop_min": 0.08}}
# A larger network is slow to show what it can do: the same recipe with several networks, for longer.
LONGER = 20.0
RECIPES |= {f"{name}, {LONGER:g} min": RECIPES["chosen"] | RECIPES[name] | {"cpu_minutes": LONGER}
            for name in ("small", "wide", "long h", "fine")}
# At full length: epochs that two processes of one thread each do in two hours, by the time of a step.
FULL = {"fine": (130, {}), "fine, crop from 0.2": (130, {"crop_min": 0.2}),
        "fine, wd 5e-2": (130, {"weight_decay": 0.05}), "fine, 384": (100, {"widths": (32, 64, 192, 384)}),
        "fine, long h": (92, {"widths": (32, 64, 128, 512)})}
RECIPES |= {f"{name}, full": RECIPES["chosen"] | RECIPES["fine"] | change | {"cpu_minutes": None, "epochs": epochs}
            for name, (epochs, change) in FULL.items()}


def try_recipe(recipe: dict, train: ImageSet, val: ImageSet) -> dict:
    """Train for the recipe's CPU time, or its epochs, and return what came out; no test image is read."""
    chosen = BASE | recipe
    usual = settings_for("laptop", "cifar10", epochs=1000.0)
    settings = replace(usual, **{name: value for name, value in chosen.items() if hasattr(usual, name)})
    device = pick_device()
    module = SimCLR(settings, train.images)
    module.encoder = TinyResNet(chosen["widths"], 32, chosen["blocks"], chosen["second_stride"])
    module.head = ProjectionHead(module.encoder.feature_dim, chosen["head_width"] or None)
    module.to(device, memory_format=torch.channels_last)
    module.images = module.images.to(device)
    optimizer = module.configure_optimizers()["optimizer"]
    started, step, share = time.process_time(), 0, 0.0
    while share < 1:
        for group in optimizer.param_groups:  # a warm-up, then a cosine to 0 over the time that there is
            group["lr"] = settings.lr * min(1, share / 0.05 + 1e-3) * 0.5 * (1 + math.cos(math.pi * share))
        with torch.autocast(device.type, torch.bfloat16):
            loss = module.training_step(step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if chosen["cpu_minutes"] is None:
            share = step / (chosen["epochs"] * module.steps_per_epoch)
        else:
            share = (time.process_time() - started) / (60 * chosen["cpu_minutes"])
    bank, queries = (extract_features(module.encoder, part.images) for part in (train, val))
    few = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:5000]
    asked = (queries, val.labels)
    probe = linear_probe((bank[few], train.labels[few]), asked, asked, (0.003, 0.01, 0.03, 0.1))
    scores = {"val_knn": round(knn_accuracy(bank, train.labels, *asked), 4),
              "val_probe": round(probe.val_accuracy, 4)}
    if chosen["cpu_minutes"] in (None, LONGER):
        probe = linear_probe((bank, train.labels), asked, asked, (0.03, 0.1))
        scores["val_probe_all"] = round(probe.val_accuracy, 4)
    return chosen | {"parameters": sum(p.numel() for p in module.encoder.parameters()), "steps": step,
                     "epochs": round(step / module.steps_per_epoch, 1), **scores, "seed": settings.seed,
                     "threads": torch.get_num_threads(), "hardware": hardware(), "torch": torch.__version__}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Try recipes for cifar10-tiny.")
    parser.add_argument("names", nargs="*", default=list(RECIPES), help=f"which: {', '.join(RECIPES)}")
    parser.add_argument("--photos", default="cifar10", help="cifar10, or a zip of its class folders")
    options = parser.parse_args()
    parts = load(options.photos, "train"), load(options.photos, "val")
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        kept = KEPT / f"{name}.json"
        asked = json.loads(json.dumps(BASE | RECIPES[name]))
        if not kept.exists() or any(json.loads(kept.read_text())[key] != value for key, value in asked.items()):
            found = {"recipe": name, **try_recipe(RECIPES[name], *parts)}
            with write_aside(kept) as aside:
                aside.write_text(json.dumps(found))
        print(kept.read_text(), flush=True)
    kept = [KEPT / f"{name}.json" for name in RECIPES]
    write_results(RESULTS / "recipes.csv", [json.loads(path.read_text()) for path in kept if path.exists()])
