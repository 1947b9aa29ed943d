"""Run as a program: an embedded PostgreSQL and broker, until SIGTERM. One JSON line says where.

python tests/local_servers.py DATA_DIRECTORY
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from services.local.brokers import Tansu
from services.local.directory import DataDirectory
from services.local.ports import Ports
from services.local.postgres import Postgres
from services.local.supervisor import Supervisor


async def main(data: Path) -> None:
    directory = DataDirectory(data)
    directory.open()
    supervisor = Supervisor(directory.path)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    leftovers = await supervisor.end_leftovers()
    ports = Ports()
    postgres = Postgres(directory.path, ports.take(), directory.logs)
    broker = Tansu(directory.path, ports.take(), directory.logs)
    is_new = await postgres.prepare()
    await broker.prepare()
    supervisor.add(postgres.program(environment=os.environ, stage=1))
    supervisor.add(broker.program(environment=os.environ, stage=0, after_start=None))
    await supervisor.wait_ready(["postgres", "broker"], seconds=60)
    line = {
        "dsn": postgres.dsn,
        "kafka": broker.bootstrap_servers,
        "cluster_id": broker.cluster_id,
        "pids": {process.name: process.pid for process in supervisor.processes},
        "is_new": is_new,
        "leftovers": leftovers,
        "outside": str(postgres.place.directory) if postgres.place.is_outside else None,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    await ended.wait()
    await supervisor.stop()
    directory.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
