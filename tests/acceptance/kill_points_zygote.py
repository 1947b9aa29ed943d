"""Run as a program: a process with everything imported, forked for each life of a service.

One JSON line on stdin ({"service": …, "log": …, "environment": {…}}), one pid on stdout. Starting
Python and importing takes a second; a fork takes a few milliseconds.
"""

import json
import os
import signal
import sys
from typing import Any

from services.change_acceptance import app as change_acceptance
from services.kit.process import run
from services.kit.settings import load_settings
from services.order_intake import app as order_intake
from services.relay import app as relay
from services.status_update import app as status_update

APPS = (order_intake, status_update, change_acceptance, relay)
SERVICES = {app.SERVICE: app.build for app in APPS}


def main() -> None:
    # The dead go at once: whoever asks for a pid must not find a zombie.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            live(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def live(order: dict[str, Any]) -> None:
    """Be the service, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((0, nothing), (1, log), (2, log)):
        os.dup2(new, old)
    os.environ.update(order["environment"])
    code = 1
    try:
        code = run(order["service"], SERVICES[order["service"]], load_settings())
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
