"""Whether this container's worker is alive: exit 0 if so, else 1 with the reason.

Asks the worker itself, ``GET /live`` on the port of its own setting, ``TOCSIN_METRICS_PORT``. It answers from a thread
of its own, and is alive while none of its loops has stood still for ``TOCSIN_HEALTH_STALL_S``. It need not be ready: a
worker that waits for its broker, or for people, gains nothing by a new start.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4.0


def main() -> int:
    """Ask once."""
    port = os.environ.get("TOCSIN_METRICS_PORT", "")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=TIMEOUT_S) as answer:
            report = json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            print(reasons(refused.read()), file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"no worker answers on port {port or '(not set)'}: {error}", file=sys.stderr)
        return 1
    if not isinstance(report, dict) or report.get("live") is not True:
        print(f"what answers on port {port} is no worker", file=sys.stderr)
        return 1
    return 0


def reasons(body: bytes) -> str:
    """What keeps a worker from being alive, by its own report."""
    try:
        loops = [each for each in json.loads(body)["loops"] if each["stalled"]]
    except (ValueError, KeyError, TypeError):
        return "what answers is no worker"
    return "; ".join(
        f"{each['name']} has taken no step for {each['last_step_s_ago']:.0f} s ({each['why'] or each['state']})"
        for each in loops
    )


if __name__ == "__main__":
    sys.exit(main())
