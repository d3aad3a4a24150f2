"""Names and titles where there is little room: short where they are long, as they are elsewhere."""

from workflow.convergent.figures import labels


def test_a_long_name_is_shown_by_its_ends() -> None:
    assert [labels.short(name) for name in ("Net1", "resnet18_new")] == ["Net1", "resnet18_new"]
    assert labels.short("convnext_tiny.fb_in22k_ft_in1k") == "convne…_in1k"
    assert labels.before("within", "Net1") == "within Net1"
    assert labels.before("units of", "resnet18_second") == "units of\nresnet18_second"


def test_titles_are_broken_between_words_alone() -> None:
    assert labels.wrapped("conv1: units of Net1", 6) == "conv1: units of Net1"
    assert labels.wrapped("units of one and\n\nof two", 0.6) == "units of\none and\n\nof two"
    assert labels.wrapped("a-long-name and_another_name", 0.5) == "a-long-name\nand_another_name"
