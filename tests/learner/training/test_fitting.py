"""A fit in a process of its own: the same versions as without one, whatever becomes of the process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.kinds.boosting import packed_fit
from models.kinds.kind import FitInputs
from models.learning.training import Plan, Trainer
from services.learner.training import fitting
from services.learner.training.fit_process import read, written
from services.learner.training.fitting import FitError, fit_beside, fitted
from services.scorer.path.features.registry import FEATURES
from tests.learner.training.endless import endless
from tests.learner.worker import PATIENCE_S
from tests.models.lines import log_of, plan_of
from tests.support.served_batches import SCHEMA

COUNT = 400


def inputs_of(count: int = COUNT) -> FitInputs:
    rng = np.random.default_rng(3)
    labels = np.arange(count) % 3 == 0
    features = rng.lognormal(0.0, 1.0, (count, len(FEATURES))) + labels[:, None]
    features[rng.random(features.shape) < 0.1] = np.nan
    return FitInputs(features, labels, rng.random(count) + 0.5, SCHEMA)


def children() -> set[int]:
    """The fits that this process has under way."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parent = (each / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"fit_process" in (each / "cmdline").read_bytes():
                found.add(int(each.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


async def a_fit_under_way() -> int:
    for _ in range(int(PATIENCE_S / 0.01)):
        if found := children():
            return found.pop()
        await asyncio.sleep(0.01)
    raise AssertionError("no fit was begun")


def test_another_process_fits_the_same_bytes() -> None:
    inputs = inputs_of()
    assert asyncio.run(fitted(packed_fit, inputs)) == packed_fit(inputs)


def test_a_line_fitted_beside_makes_the_same_versions() -> None:
    async def beside(trainer: Trainer) -> list[str]:
        made = []
        for offset, each in log_of(1):
            if trainer.fit_due:
                assert await fit_beside(trainer, lambda: True) is not None
            lesson = trainer.learn(each, offset)
            made += [lesson.snapshot.announcement.model_hash] if lesson.snapshot else []
        return made

    plan, alone = plan_of("boosting"), []
    trainer = Trainer(plan)
    for offset, each in log_of(1):
        lesson = trainer.learn(each, offset)
        alone += [lesson.snapshot.announcement.model_hash] if lesson.snapshot else []
    assert len(alone) >= 3
    assert asyncio.run(beside(Trainer(plan))) == alone


def test_a_window_with_too_few_labels_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/none")
    trainer = due(4)
    assert asyncio.run(fit_beside(trainer, lambda: True)) == "too_few_labels"
    assert not trainer.fit_due


def test_a_killed_fit_is_made_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(fitting, "RETRY_S", 0.01)
    inputs = inputs_of()

    async def killed_once() -> bytes:
        task = asyncio.create_task(fitted(packed_fit, inputs))
        os.kill(await a_fit_under_way(), signal.SIGKILL)
        return await task

    assert asyncio.run(killed_once()) == packed_fit(inputs)
    assert "killed by signal 9" in caplog.text


def test_a_worker_that_stops_leaves_its_fit_and_makes_it_when_it_goes_on() -> None:
    trainer = due(100)

    async def stopped() -> None:
        stop: list[int] = []
        task = asyncio.create_task(fit_beside(trainer, lambda: not stop))
        stop.append(await a_fit_under_way())
        assert await task is None

    asyncio.run(stopped())
    assert not children()
    assert trainer.fit_due
    assert asyncio.run(fit_beside(trainer, lambda: True)) == "fitted"


def test_a_fit_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "FIT_S_MAX", 0.2)

    async def stands_still() -> None:
        task = asyncio.create_task(fitted(packed_fit, inputs_of()))
        os.kill(await a_fit_under_way(), signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await task

    asyncio.run(stands_still())
    assert not children()


def test_what_makes_a_fit_impossible_is_said() -> None:
    inputs = inputs_of()
    with pytest.raises(FitError, match="ValueError: a weight is not positive"):
        asyncio.run(fitted(packed_fit, inputs._replace(weights=-inputs.weights)))


def test_a_fit_ends_with_whoever_wanted_it() -> None:
    inputs = inputs_of()
    program = [sys.executable, "-m", "services.learner.training.fit_process"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        for piece in written(endless, inputs):
            process.stdin.write(piece)
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3.0)
        process.stdin.close()  # as the end of the other process does
        assert process.wait(timeout=PATIENCE_S) == 1


def test_a_fit_whose_inputs_break_off_ends() -> None:
    whole = b"".join(written(packed_fit, inputs_of()))
    for cut in (0, 10, 1_000, len(whole) - 1):
        command = [sys.executable, "-m", "services.learner.training.fit_process"]
        done = subprocess.run(command, input=whole[:cut], check=False, capture_output=True)
        assert done.returncode == 1
        assert done.stdout == b""


def test_inputs_arrive_as_they_were_written(tmp_path: Path) -> None:
    inputs = inputs_of()
    (tmp_path / "inputs").write_bytes(b"".join(written(packed_fit, inputs)))
    with (tmp_path / "inputs").open("rb") as source:
        fit, found = read(source)
    assert fit is packed_fit
    for name in ("features", "labels", "weights"):
        assert getattr(found, name).tobytes() == getattr(inputs, name).tobytes()
    assert found.feature_schema_hash == SCHEMA


def test_the_process_of_a_fit_knows_no_kafka() -> None:
    program = (
        "import services.learner.training.fit_process, sys\n"
        "print(sorted({'faust', 'aiokafka', 'river'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def due(count: int) -> Trainer:
    """A boosted line that has learned ``count`` examples, after which a fit is due."""
    plan = Plan(SCHEMA, 10**9, 0.05, "boosting", refit_examples=count, refit_window_examples=count)
    trainer = Trainer(plan)
    for offset, each in log_of(1):
        trainer.learn(each, offset)
        if trainer.fit_due:
            return trainer
    raise AssertionError("the log is too short")
