"""The playground: python -m common.play [--port N] [--case CASE]

A page on this machine alone, http://127.0.0.1:7860, with a tab for what the cases offer (cases/<case>/play.py, found,
not listed). Packages: the extra `play`. Ctrl-C ends it; nothing that was uploaded stays.
"""
import argparse
import importlib
import os
import signal
import sys

from common.base import paths
from common.base.errors import UserError, start

OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
           "DO_NOT_TRACK": "1"}


def offers(case=None):
    """[Offer] of one case or all that have a play.py."""
    modules = [importlib.import_module(f"cases.{name}.play") for name in paths.choose_cases(case)
               if (paths.ROOT / "cases" / name / "play.py").is_file()]
    return [module.offer() for module in modules]


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m common.play", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=7860, help="0: any that is free")
    parser.add_argument("--case", help="the tab of one case alone")
    options = parser.parse_args(argv)
    os.environ.update(OFFLINE)
    try:
        from common.play import server
    except ImportError as problem:
        raise UserError(f"{problem.name} is not installed: a package of the extra `play` was expected: "
                        "python common/install.py --extra play") from None
    for name in ("SIGTERM", "SIGHUP"):                      # a closed terminal says SIGHUP, where there is one
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    with server.served(offers(options.case), options.port) as (blocks, address):
        print(f"open {address} in a browser; Ctrl-C ends it\n用浏览器打开 {address}；按 Ctrl-C 结束", flush=True)
        blocks.block_thread()


if __name__ == "__main__":
    sys.exit(start(main))
