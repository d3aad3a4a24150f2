"""Names of nets: in a configuration, before training and at snapshots, and as figures show them. Without torch."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

DERIVED = re.compile(r"(_untrained|_snapshot\d+)\Z")  # how names end that follow from that of a net


def net_names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the nets of the entries of ``nets``: net0, net1, ... by their place where an entry has none."""
    return [entry.get("name", f"net{number}") for number, entry in enumerate(entries)]


def twin_name(net: str) -> str:
    """Name of a net before its training."""
    return f"{net}_untrained"


def snapshot_name(net: str, number: int) -> str:
    """Name of a net at its snapshot of a number from 1.

    >>> snapshot_name("net0", 1)
    'net0_snapshot1'
    """
    return f"{net}_snapshot{number}"


def trained_name(net: str) -> str:
    """The net that a twin or a snapshot becomes by its training; of any other net its own name.

    >>> trained_name("net0_untrained"), trained_name("my_net")
    ('net0', 'my_net')
    """
    return DERIVED.sub("", net)


def title(net: str) -> str:
    """A net as figures show it: Net1 for net0, which count from one as the paper does, any other by its own name.

    >>> title("net0"), title("net0_untrained"), title("resnet18")
    ('Net1', 'Net1 untrained', 'resnet18')
    """
    own = trained_name(net)
    numbered = re.fullmatch(r"net(\d+)", own)
    return (f"Net{int(numbered[1]) + 1}" if numbered else own) + net[len(own) :].replace("_", " ")
