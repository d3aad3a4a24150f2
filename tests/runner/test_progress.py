"""What is left of a run, against runs whose times are known."""

import pytest

from tests.workflow.test_project import rules
from workflow.runner import progress as state
from workflow.runner.progress import OTHER, PRIOR, SECONDS, Job, Progress


def info(jobid: int, rule: str, time: float, threads: int = 1, **wildcards: str) -> dict:
    names = {"run": "scenes", **wildcards}
    return {
        "event": "job_info",
        "jobid": jobid,
        "rule_name": rule,
        "threads": threads,
        "time": time,
        "wildcards": names,
    }


def finished(jobid: int, time: float) -> dict:
    return {"event": "job_finished", "job_id": jobid, "time": time}


def planned(cores: int = 2, training: float = 1.0, **stats: int) -> Progress:
    progress = Progress(cores, training)
    state.plan(progress, {**stats, "total": sum(stats.values())})
    return progress


def test_every_rule_has_its_time() -> None:
    """Names end before a part that is filled in: moments_ of moments_val. Figures take the time of all else."""
    stages = {name for name, lines in rules().items() if any("python -m" in line for line in lines)}
    named = {name for name in stages if any(rule.startswith(name) for rule in SECONDS)}
    assert stages - named == {"draw_"}


def test_a_plan_takes_what_the_table_says() -> None:
    """Waves follow each other, and within one the work is shared by the cores."""
    work = {"images": 1, "train": 4, "patches": 4, "draw_fig1_correlation": 1}
    expected = SECONDS["images"] + 4 * SECONDS["train"] / 2 + 4 * SECONDS["patches"] / 2 + OTHER
    assert state.seconds_left(planned(**work), 0) == pytest.approx(expected)


def test_more_cores_than_jobs_do_not_help() -> None:
    assert state.seconds_left(planned(cores=64, train=4), 0) == pytest.approx(SECONDS["train"])


def test_training_counts_by_its_work() -> None:
    assert state.seconds_left(planned(cores=1, training=10.0, train=1), 0) == pytest.approx(10 * SECONDS["train"])


def test_a_job_that_runs_takes_what_it_has_not_yet_taken() -> None:
    progress = planned(train=1)
    state.update(progress, info(1, "train", 100, net="net0"))
    assert progress.waiting.total() == 0
    assert state.seconds_left(progress, 100 + 55) == pytest.approx(SECONDS["train"] - 55)
    assert state.seconds_left(progress, 100 + 1000) == pytest.approx(100)  # overdue


def test_finished_jobs_correct_their_rule_and_the_others() -> None:
    """On a machine of half the speed everything takes twice as long, once enough has been measured."""
    progress = planned(cores=1, stitching=3, patches=1000)
    for jobid in (1, 2):
        state.update(progress, info(jobid, "stitching", 0, threads=2))
        state.update(progress, finished(jobid, SECONDS["stitching"]))  # with two threads: twice the core-seconds
    assert state.expected(progress, "stitching") == pytest.approx(2 * SECONDS["stitching"])
    factor = (PRIOR + 4 * SECONDS["stitching"]) / (PRIOR + 2 * SECONDS["stitching"])
    assert 1 < factor < 2
    assert state.expected(progress, "patches") == pytest.approx(factor * SECONDS["patches"])
    assert (progress.done(), progress.total()) == (2, 1003)


def test_trainings_take_what_their_epochs_say() -> None:
    """The second of 10 epochs ends 5 s after the first; 8 are left, and another net waits."""
    progress = planned(cores=1, train=2)
    state.update(progress, info(1, "train", 0, net="net0"))
    state.hear(progress, "net1: epoch 1/10, loss 1.0", 1)  # not this net
    assert state.seconds_left(progress, 0) == pytest.approx(2 * SECONDS["train"])
    state.hear(progress, "net0: epoch 1/10, loss 2.0", 8)
    assert progress.running[1].epoch_seconds() == 8
    state.hear(progress, "net0: epoch 2/10, loss 1.9", 13)
    assert state.seconds_left(progress, 14) == pytest.approx(8 * 5 - 1 + 10 * 5)


def test_a_net_of_a_name_tells_its_epochs_too() -> None:
    progress = planned(train=1)
    state.update(progress, info(1, "train", 0, net="res_net.18"))
    state.hear(progress, "res_net.18: epoch 1/10, loss 2.0", 8)
    assert progress.running[1].epoch_seconds() == 8


def test_a_resumed_training_takes_its_last_epochs_only() -> None:
    job = Job("train", "net0", 1, 0, [(20, 8, 10)])
    job.epochs.append((24, 9, 10))
    assert job.seconds_left(SECONDS["train"], 25) == pytest.approx(3)


def test_a_failed_job_no_longer_counts() -> None:
    progress = planned(images=1)
    state.update(progress, info(1, "images", 0))
    state.update(progress, {"event": "job_error", "jobid": 1, "time": 3})
    assert [job.rule for job in progress.failed] == ["images"]
    assert state.seconds_left(progress, 5) == 0
    assert progress.total() == 1


def test_a_second_plan_replaces_what_waits() -> None:
    """Where training gives the weights that were there before, nothing after it is left."""
    progress = planned(train=1, patches=4)
    state.update(progress, info(1, "train", 0, net="net0"))
    state.update(progress, finished(1, 9))
    state.plan(progress, {"all": 1, "total": 1})
    assert (progress.done(), progress.total()) == (1, 2)


def test_texts() -> None:
    progress = planned(images=1, train=4, patches=99)
    assert state.beginning(progress, 0) == "104 jobs, 4 trainings among them: about 13 min on 2 cores."
    state.update(progress, info(3, "patches", 0, net="net0"))
    assert state.status(progress, 0) == "about 13 min left, 0 of 104 jobs done; now patches net0"
    assert [state.duration(seconds) for seconds in (0, 33, 61, 5400, 5401, 20_000, 300_000)] == [
        *("10 s", "40 s", "2 min", "90 min", "2 h", "6 h", "4 days")
    ]
    assert [state.elapsed(seconds) for seconds in (7.6, 580)] == ["8 s", "9 min 40 s"]
