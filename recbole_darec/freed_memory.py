"""What becomes of memory that is freed."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Have the C library keep what this process frees, for the tables of the next step.

    glibc gives blocks of more than 32 MiB back to the system, which clears their pages one by one
    when they are asked for again. Where each step makes a dozen such tables, that takes a quarter
    of its time. The memory is reused by this process and returned when it ends.

    Returns:
        Whether the library could be told: it is glibc.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(_M_MMAP_MAX, 0) and library.mallopt(_M_TRIM_THRESHOLD, -1))
