"""Whether this container's worker serves its metrics: exit 0 if so, else 1 with the reason.

The port is the worker's own setting, ``TOCSIN_METRICS_PORT``.
"""

from __future__ import annotations

import os
import sys
import urllib.request

TIMEOUT_S = 4.0


def main() -> int:
    """Ask once."""
    port = os.environ.get("TOCSIN_METRICS_PORT", "")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT_S) as answer:
            served = b"tocsin_" in answer.read()
    except (OSError, ValueError) as error:
        print(f"no metrics on port {port or '(not set)'}: {error}", file=sys.stderr)
        return 1
    if not served:
        print(f"port {port} serves other metrics than a worker's", file=sys.stderr)
    return 0 if served else 1


if __name__ == "__main__":
    sys.exit(main())
