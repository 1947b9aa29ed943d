"""Stands in for `crossroads` where only its processes matter: it serves /readyz and notes commands.

python tests/hub_double.py NOTES COMMAND…
"""

import http.server
import json
import os
import signal
import sys
from pathlib import Path


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said of requests."""


def main(notes: Path, command: list[str]) -> None:
    with notes.open("a") as file:
        file.write(" ".join(command) + "\n")
    if command[0] == "run":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        variable = "HTTP_PORT" if command[1] == "gateway" else "METRICS_PORT"
        port = int(os.environ[f"CROSSROADS_{variable}"])
        http.server.HTTPServer(("127.0.0.1", port), Ready).serve_forever()
    if command[0] == "keys":
        print(json.dumps({"client_id": "i", "client_secret": "s", "api_key": f"k{os.getpid()}"}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
