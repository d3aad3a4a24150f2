from pathlib import Path

import numpy as np
import pytest
import torch

from tests.in_memory import split_of
from workflow.convergent import store
from workflow.convergent.nets import crops
from workflow.convergent.nets.crops import Split

CPU = torch.device("cpu")


def test_an_epoch_shows_every_image_once() -> None:
    labels = np.arange(50)
    images = np.tile(labels.astype(np.uint8)[:, None, None, None], (1, 5, 5, 1))
    epoch = list(crops.batches(split_of(images, labels), crops.draws(50, 10, 4, seed=0), 1, CPU))
    pixels, targets, tops, lefts, flip = (torch.cat(parts) for parts in zip(*epoch, strict=True))
    assert [len(batch[0]) for batch in epoch] == [10] * 5
    assert sorted(targets.tolist()) == labels.tolist() != targets.tolist()
    assert pixels.flatten().tolist() == targets.tolist()
    assert set(tops.tolist()) == set(lefts.tolist()) == set(range(5))
    assert tops.tolist() != lefts.tolist()
    assert 10 < flip.sum() < 40


def test_epochs_of_other_seeds_differ_and_incomplete_batches_are_left_out() -> None:
    one, again, two = (
        torch.cat([torch.from_numpy(index) for index, *_ in crops.draws(50, 16, 0, seed)]) for seed in (0, 0, 1)
    )
    assert len(one) == 48
    assert one.tolist() == again.tolist() != two.tolist()


def test_crops_are_cut_where_they_are_drawn(images: dict[str, Path]) -> None:
    split = Split(store.StoredArray(images["train"], "images"), store.load(images["train"], "labels")["labels"])
    whole = store.load(images["train"], "images")["images"]
    drawn = next(crops.draws(len(whole), 9, 4, seed=1))
    pixels, labels, *rest = crops.cut(split, drawn, 16)
    for crop, row, top, left in zip(pixels, *drawn[:3], strict=True):
        np.testing.assert_array_equal(crop, whole[row, top : top + 16, left : left + 16])
    assert labels.tolist() == split.labels[drawn[0]].tolist()
    assert all(kept is given for kept, given in zip(rest, drawn[1:], strict=True))


@pytest.mark.gpu
def test_on_cuda_batches_are_those_of_the_cpu(images: dict[str, Path]) -> None:
    """Many, and larger than what the transfers of some take: none is overwritten while it is used."""
    rng = np.random.default_rng(0)
    split = split_of(rng.integers(0, 256, (64, 128, 128, 3), np.uint8), np.arange(64))
    both = [
        crops.batches(split, crops.draws(64, 16, 28, seed=epoch), 100, place)
        for epoch in range(20)
        for place in (CPU, torch.device("cuda"))
    ]
    for here, there in zip(both[::2], both[1::2], strict=True):
        for parts in zip(here, there, strict=True):
            busy = torch.ones(2000, 2000, device="cuda")
            for _ in range(20):
                busy = busy @ busy * 1e-4
            assert all(torch.equal(a, b.cpu()) for a, b in zip(*parts, strict=True))


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (0, -1), (5, 0), (0, 5)])
def test_no_crop_leaves_its_image(images: dict[str, Path], row: int, column: int) -> None:
    split = Split(store.StoredArray(images["train"], "images"), np.zeros(80))
    drawn = np.array([3]), np.array([row]), np.array([column]), np.array([False])
    with pytest.raises(IndexError, match="crops of 16 pixels leave images of 20"):
        crops.cut(split, drawn, 16)
