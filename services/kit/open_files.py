"""How many files a process may have open at once; each connection is one of them."""

import resource


def allow(count: int) -> int:
    """Let this process, and those it starts, have `count` files open; the number it may have then.

    It is less than `count` where the hard limit is, which only the operator raises, and more where
    more was allowed before: it is never lowered.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return count
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft >= most:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
