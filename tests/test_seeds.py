"""Seeds: derived by name."""

from itertools import combinations

from workflow.convergent.seeds import derive


def test_a_name_gives_the_same_seed_everywhere() -> None:
    assert derive(0, "dropout", 3) == 7674056959200526490


def test_other_names_give_other_seeds() -> None:
    names = [(0,), (1,), (0, "a"), (0, "b"), (0, "a", 1), (0, "a", 2), (0, "a1"), (1, "a", 1), (0, 1, "a")]
    assert all(derive(*one) != derive(*two) for one, two in combinations(names, 2))


def test_seeds_are_integers_of_63_bits_that_use_all_of_them() -> None:
    seeds = [derive(i) for i in range(200)]
    assert min(seeds) >= 0
    assert 2**62 < max(seeds) < 2**63
