"""Serve the page on this machine alone, and leave nothing behind."""
import os
import tempfile
from contextlib import contextmanager

import gradio

from common.base.errors import UserError
from common.play import page, work

HOST = "127.0.0.1"


@contextmanager
def served(offered, port):
    """(gradio.Blocks, address) of the page of these Offers while it is served, by a thread; port 0: any that is free.
    Nothing that was uploaded stays. UserError for a missing package or a port that is taken."""
    with tempfile.TemporaryDirectory(prefix="play-", ignore_cleanup_errors=True) as root:
        os.environ["GRADIO_TEMP_DIR"] = root                # uploads too are gone with it
        visitors, blocks = work.Visitors(root), None
        try:
            blocks = page.build(offered, visitors)
            yield blocks, launch(blocks, port)
        finally:
            visitors.close()                                # work stops, which else might write on
            if blocks:
                blocks.close(verbose=False)


def launch(blocks, port):
    """Serve the page on this machine alone; its address."""
    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    try:
        return blocks.queue(default_concurrency_limit=1).launch(
            server_name=HOST, server_port=port or None, share=False, quiet=True, prevent_thread_lock=True,
            max_file_size=page.LARGEST, footer_links=[], css=page.CSS, theme=theme, show_error=True, ssr_mode=False)[1]
    except OSError:
        raise UserError(f"port {port} is taken: another one was expected: --port 0 takes any that is free") from None
