"""Whatever is compiled is compiled before a worker reads."""

from __future__ import annotations

import subprocess
import sys


def test_no_payment_waits_for_a_kernel() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.scorer.shell.warmed"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
