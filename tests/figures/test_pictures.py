"""Pictures of units: of which nets and layer they are, and what is drawn of them."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.figures import stores
from workflow.convergent import store
from workflow.convergent.commands import InputError
from workflow.convergent.figures import pictures


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Patches of net1, whose last unit of three is dead, and of net0, which has no positions."""
    return [stores.patches(tmp_path, "net1", 3, dead=[2]), stores.patches(tmp_path, "net0", 2, positions=False)]


def test_pictures_come_in_the_order_of_the_nets(paths: list[Path]) -> None:
    first, second = pictures.read_pictures(paths, "conv1", stores.digests("net0", "net1"), "v")
    assert (first.name, list(first.kinds)) == ("Net1", ["thumbnail"])
    assert (second.name, list(second.kinds)) == ("Net2", ["patch", "deconv"])
    assert pictures.remarks([first, second]) == "\nno positions in Net1: pictures are the whole crops"
    assert pictures.remarks([second]) == ""


def test_patches_of_other_nets_are_refused(paths: list[Path]) -> None:
    with pytest.raises(InputError, match="--patches: stores of net1, net0; must be of net0, net2"):
        pictures.read_pictures(paths, "conv1", stores.digests("net0", "net2"), "v")


def test_patches_without_the_layer_are_refused(paths: list[Path]) -> None:
    with pytest.raises(InputError, match="no patches of conv2; it has conv1"):
        pictures.read_pictures(paths, "conv2", stores.digests("net0", "net1"), "v")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nets": {"net1": "of another run"}}, r"weights of net1 differ: .*: weights of net1, .*: of another run"),
        ({"images": "others"}, r"images differ: .*: others"),
        ({"nets": stores.digests("net0")}, "--patches: net0 is given twice"),
        ({"kind": "moments"}, "a store of moments; must be one of patches"),
    ],
)
def test_patches_of_other_weights_or_images_are_refused(paths: list[Path], change: dict, said: str) -> None:
    stores.resave(paths[0], **change)
    with pytest.raises(InputError, match=said):
        pictures.read_pictures(paths, "conv1", stores.digests("net0", "net1"), "v")


def test_a_unit_is_drawn_with_each_kind_and_a_dead_one_as_a_frame(paths: list[Path]) -> None:
    (net,) = pictures.read_pictures(paths[:1], "conv1", stores.digests("net1"), "v")
    figure, axes = plt.subplots(3, 2)
    for column, unit in enumerate((1, 2)):
        pictures.draw_unit(list(axes[:, column]), net, unit)
    stored = store.load(paths[0], "conv1/deconv")["conv1/deconv"][1]
    np.testing.assert_allclose(axes[1, 0].images[0].get_array(), pictures.tiles(stored))
    assert [ax.texts[0].get_text() for ax in axes[:2, 1]] == ["never\nactive"] * 2
    assert [ax.axison for ax in axes[2]] == [False, False]
    plt.close(figure)
