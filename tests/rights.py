"""Root passes over the rights of files; here are processes that do not, so that tests of missing rights also run as
root."""
import ctypes
import os
import sys

import pytest

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
ROOT_HERE = hasattr(os, "geteuid") and os.geteuid() == 0
needs_rights = pytest.mark.skipif(os.name == "nt" or ROOT_HERE and sys.platform != "linux",
                                  reason="no file here whose rights this process would not pass over")


def bound_by_rights():
    """For preexec_fn: the program that this process becomes next obeys the rights of files, also as root."""
    if ROOT_HERE:
        for right in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if LIBRARY.prctl(PR_CAPBSET_DROP, right, 0, 0, 0):
                os._exit(99)


LIBRARY = ctypes.CDLL(None) if ROOT_HERE else None           # loaded before any fork
