"""How many images pass through nets at once."""

import argparse

import pytest

from tests.presets import one_layer
from workflow.convergent.nets import batching


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_larger_crops_never_pass_in_larger_numbers_and_a_pass_stays_within_its_values(device: str) -> None:
    numbers = [batching.images_at_once(crop, 3, device) for crop in range(8, 3000)]
    assert numbers == sorted(numbers, reverse=True)
    most = batching.VALUES * (1 if device == "cpu" else batching.FASTER)
    assert all(number * 3 * crop**2 <= most or number == 8 for crop, number in enumerate(numbers, 8))


def test_the_net_with_the_largest_crop_decides() -> None:
    small, large = one_layer(2, crop=12, kernel=3), one_layer(2, crop=200, kernel=3)
    assert batching.of_nets([small, large]) == batching.images_at_once(200, 3) < batching.of_nets([small])


def test_the_option_takes_numbers_and_auto_which_is_the_default() -> None:
    parser = argparse.ArgumentParser()
    batching.add_option(parser)
    assert [parser.parse_args(words).batch for words in ([], ["--batch", "auto"], ["--batch", "7"])] == [None, None, 7]


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "many"])
def test_no_batch_without_an_image(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    batching.add_option(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--batch={text}"])
    assert f"'{text}' is not possible; auto, or a whole number of at least 1" in capsys.readouterr().err
    with pytest.raises(argparse.ArgumentTypeError, match=r"possible; a whole number of at least 1"):
        batching.whole(text)
