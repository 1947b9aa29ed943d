"""A process may have as many connections as it has room for, or says that it may not."""

import subprocess
import sys

# In a process of its own: a hard limit that was lowered stays low.
TRIED = """
import resource
from services.kit.open_files import allow
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 400))
print(allow(300), *resource.getrlimit(resource.RLIMIT_NOFILE))
print(allow(200), *resource.getrlimit(resource.RLIMIT_NOFILE))
print(allow(5000), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_the_limit_is_raised_as_far_as_it_may_be_and_never_lowered() -> None:
    told = subprocess.run([sys.executable, "-c", TRIED], check=True, capture_output=True, text=True)
    assert told.stdout.splitlines() == ["300 300 400", "300 300 400", "400 400 400"]


def test_the_limit_of_a_process_without_one_is_left_alone() -> None:
    code = (
        "import resource\n"
        "from services.kit.open_files import allow\n"
        "resource.getrlimit = lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)\n"
        "resource.setrlimit = None\n"
        "print(allow(12))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "12\n"
