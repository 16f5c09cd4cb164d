"""Ask whether something is alive: `python -m deploy.alive http://127.0.0.1:8080/healthz`, for health checks.

It ends with 0 for a 200 in time. A service whose event loop stands still answers 503, or not at all.
"""

import http.client
import sys
import urllib.request
from collections.abc import Sequence

ANSWER_SECONDS = 3.0


def alive(url: str) -> bool:
    """Say whether the address answers with 200 in time."""
    try:
        # No proxy, whatever the environment says: the address is this container's own.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=ANSWER_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def main(arguments: Sequence[str]) -> int:
    """Ask the one address that is given; return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m deploy.alive URL", file=sys.stderr)
        return 2
    return 0 if alive(arguments[0]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
