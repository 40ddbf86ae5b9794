"""Self-prediction: each task against a slow version of itself, training, and the networks that
ship.
"""

import itertools

import pytest
import torch

from helpers.artifacts import CHECKPOINTS
from helpers.augmentations import rotate
from helpers.data import load, sample_photos
from helpers.pretext import (
    ORDERS,
    TASKS,
    PretextNet,
    PretextSettings,
    cut_tiles,
    load_pretext,
    make_task,
    mask_patches,
    task_loss,
    train_pretext,
)


def test_masking_hides_the_patches_with_the_lowest_scores():
    images, scores = torch.rand(3, 3, 8, 8) * 0.4, torch.rand(3, 4)
    masked, mask = mask_patches(images, 4, torch.tensor([0.0, 0.5, 1.0]), scores)
    for n, hidden in enumerate((0, 2, 4)):
        lowest = sorted(range(4), key=lambda k: scores[n, k])[:hidden]
        for k, (row, column) in enumerate(itertools.product((0, 4), (0, 4))):
            patch = masked[n, :, row : row + 4, column : column + 4]
            expected = (
                torch.full_like(patch, 0.5)
                if k in lowest
                else images[n, :, row : row + 4, column : column + 4]
            )
            assert torch.equal(patch, expected)
            assert mask[n, 0, row : row + 4, column : column + 4].all() == (k in lowest)


def test_more_hidden_hides_the_same_patches_and_more():
    images, scores = torch.rand(1, 3, 32, 32), torch.rand(1, 64)
    masks = [mask_patches(images, 4, torch.tensor([share]), scores)[1] for share in (0.2, 0.5, 0.9)]
    assert all((more | less).equal(more) for less, more in itertools.pairwise(masks))
    assert [mask.float().mean().item() for mask in masks] == pytest.approx(
        [13 / 64, 32 / 64, 58 / 64]
    )


def test_masking_refuses_patches_that_do_not_fit():
    with pytest.raises(ValueError, match="patches of 5 px do not tile"):
        mask_patches(torch.rand(1, 3, 32, 32), 5, torch.ones(1), torch.rand(1, 36))
    with pytest.raises(ValueError, match="need scores of shape"):
        mask_patches(torch.rand(1, 3, 32, 32), 4, torch.ones(1), torch.rand(1, 36))


def test_tiles_are_cut_from_their_quarters():
    images = torch.rand(2, 3, 32, 32)
    top, left = torch.randint(0, 5, (2, 2, 4)).unbind()
    tiles = cut_tiles(images, top, left, 12)
    assert tiles.shape == (2, 4, 3, 12, 12)
    for n, k in itertools.product(range(2), range(4)):
        y, x = 16 * (k // 2) + int(top[n, k]), 16 * (k % 2) + int(left[n, k])
        assert torch.equal(tiles[n, k], images[n, :, y : y + 12, x : x + 12])


def test_answers_come_with_the_question():
    images = torch.rand(20, 3, 32, 32)
    turned, turns, _ = make_task("rotation", images)
    assert torch.equal(rotate(turned, -turns), images)
    generator = torch.Generator().manual_seed(5)
    shuffled, answer, _ = make_task("jigsaw", images, generator)
    again = torch.Generator().manual_seed(5)
    top, left = torch.randint(5, (2, 20, 4), generator=again).unbind()
    tiles = cut_tiles(images, top, left, 12)
    for n in range(20):
        for place, home in enumerate(ORDERS[answer[n]]):
            assert torch.equal(shuffled[n, place], tiles[n, home])
    gray, target, _ = make_task("colorization", images)
    assert torch.equal(gray[:, 0], gray[:, 2])
    assert torch.equal(target, images)


def test_only_hidden_pixels_count():
    images = torch.rand(4, 3, 32, 32)
    _, target, weight = make_task("masked", images)
    guess = torch.where(weight.bool(), images + 0.1, torch.zeros_like(images))
    assert task_loss(guess, target, weight).item() == pytest.approx(0.01, rel=1e-4)


def test_colorization_keeps_the_brightness_that_it_was_given():
    net = PretextNet("colorization").eval()
    gray = torch.rand(2, 1, 32, 32).expand(-1, 3, -1, -1)
    with torch.no_grad():
        painted = net(gray)
    luma = torch.tensor([0.2989, 0.587, 0.114]).view(3, 1, 1)
    assert torch.allclose((painted * luma).sum(1), (gray * luma).sum(1), atol=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_can_be_learned_repeated_and_kept(task, tmp_path):
    images = load("shapes", "train", limit=256)
    settings = PretextSettings(task, steps=12, batch_size=64, lr=3e-3)
    trained = train_pretext(images, settings, progress=False)
    if task != "jigsaw":  # which takes longer to begin
        assert sum(trained.losses[-3:]) < sum(trained.losses[:3])
    assert train_pretext(images, settings, progress=False).losses == trained.losses
    trained.save(tmp_path / "net.safetensors")
    kept = load_pretext(tmp_path / "net.safetensors")
    assert kept.card["settings"]["task"] == kept.net.task == task
    inputs, _, _ = make_task(task, images.images[:4].float() / 255)
    with torch.no_grad():
        assert torch.allclose(kept.net(inputs), trained.net(inputs), atol=0.05)


def test_an_unknown_task_and_a_changed_file_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="unknown task 'inpainting'"):
        PretextNet("inpainting")
    monkeypatch.setattr("helpers.artifacts.CHECKPOINTS", tmp_path)
    (tmp_path / "index.json").write_text("{}")
    (tmp_path / "pretext-masked.safetensors").write_bytes(
        (CHECKPOINTS / "pretext-masked.safetensors").read_bytes()
    )
    with pytest.raises(ValueError, match="not the file that ships"):
        load_pretext("masked")
    with pytest.raises(ValueError, match="holds no pretext network"):
        load_pretext(CHECKPOINTS / "shapes-tiny.safetensors")


def test_shipped_networks_know_something_of_photos_that_they_never_saw():
    photos = sample_photos(32).images.float() / 255
    generator = torch.Generator().manual_seed(0)
    batch = photos.repeat(20, 1, 1, 1)
    with torch.inference_mode():
        for task in ("masked", "denoising"):
            inputs, target, weight = make_task(task, batch, generator)
            plain = (
                inputs
                if task == "denoising"
                else target.mean((2, 3), keepdim=True).expand_as(target)
            )
            assert task_loss(load_pretext(task).net(inputs), target, weight) < 0.7 * task_loss(
                plain, target, weight
            )
        gray, target, weight = make_task("colorization", photos)
        assert task_loss(load_pretext("colorization").net(gray), target, weight) < task_loss(
            gray, target, weight
        )
        upright = photos[:3]  # temple, roof, lake: nobody knows how a flower stands
        answers = [
            load_pretext("rotation").net(torch.rot90(upright, k, (2, 3))).argmax(1) == k
            for k in range(4)
        ]
        assert torch.stack(answers).float().mean() > 0.6
        inputs, answer, _ = make_task("jigsaw", batch, generator)
        assert (load_pretext("jigsaw").net(inputs).argmax(1) == answer).float().mean() > 0.25
