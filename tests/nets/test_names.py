"""Names of nets: by place or by choice, of what follows from a net, and as figures show them."""

from workflow.convergent.nets import names


def test_a_net_without_a_name_is_called_by_its_place() -> None:
    assert names.net_names([{"seed": 3}, {"name": "resnet18"}, {}]) == ["net0", "resnet18", "net2"]


def test_twins_and_snapshots_lead_back_to_their_net() -> None:
    for net in ("net0", "my_net", "a.b_2", "untrained_net", "x_snapshots"):
        for name in (net, names.twin_name(net), names.snapshot_name(net, 12)):
            assert names.trained_name(name) == net


def test_figures_count_nets_from_one_and_call_others_by_their_names() -> None:
    shown = {
        "net0": "Net1",
        "net9": "Net10",
        "net0_untrained": "Net1 untrained",
        "resnet18": "resnet18",
        "my_net_untrained": "my_net untrained",
        "network0": "network0",
    }
    assert {net: names.title(net) for net in shown} == shown
