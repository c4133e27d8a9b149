"""Exit 0 when the worker of this container answers on /readyz that it is ready."""

from __future__ import annotations

import os
import socket
import sys
import urllib.request


def main() -> int:
    """Ask the worker; any answer but 200 and any error is not healthy."""
    host = os.environ.get("STREAMREC_WEB__HOST") or socket.gethostbyname(socket.gethostname())
    url = f"http://{host}:{os.environ.get('STREAMREC_WEB__PORT', '8080')}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=3.0) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
