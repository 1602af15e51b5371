"""What the walk-throughs need: a figure under the cell that draws it, source text beside the equation, a slider.

Run as a plain script, a walk-through computes and checks the same numbers and shows nothing. IPython and ipywidgets
come with the extra `notebook`; without them nothing here fails.
"""
import inspect
import io
import os
import textwrap
from pathlib import Path

from PIL import Image

from common.base.paths import ROOT
from common.experiment.figures import render

DPI, QUALITY = 100, 70                  # of the figures: a notebook with a dozen stays under 600 kB
STILL = "WALKTHROUGH_STILL"             # set in the environment where a notebook is executed with nobody in front of it


def display_in(notebook):
    """IPython's display and a class of what is shown, named `notebook`; (None, None) outside a notebook."""
    try:
        from IPython import display, get_ipython
    except ImportError:
        return None, None
    return (display.display, getattr(display, notebook)) if get_ipython() is not None else (None, None)


def show(figure):
    """A figure of common/experiment/figures.py under the present cell, as JPEG."""
    display, image = display_in("Image")
    if display:
        display(image(jpeg(figure), format="jpeg"))


def jpeg(figure):
    """A figure as the bytes of a JPEG file."""
    picture = io.BytesIO()
    Image.fromarray(render(figure, DPI)).save(picture, "JPEG", dpi=(DPI, DPI), quality=QUALITY)
    return picture.getvalue()


def code(*parts):
    """The source of functions, methods and classes, each under the file and line where it stands."""
    display, markdown = display_in("Markdown")
    for part in parts:
        lines, first = inspect.getsourcelines(part)
        where = f"{Path(inspect.getsourcefile(part)).resolve().relative_to(ROOT).as_posix()}, {first}"
        if display:
            display(markdown(f"`{where}`\n```python\n{textwrap.dedent(''.join(lines)).rstrip()}\n```"))


def slide(draw, **ranges):
    """The figure draw(name=value) under a slider for each name=(least, largest, step, at the beginning); where nobody
    can move them, the figure at the beginning."""
    display, _ = display_in("Image")
    if not display:
        return
    try:
        import ipywidgets
    except ImportError:
        ipywidgets = None
    if ipywidgets is None or os.environ.get(STILL):
        show(draw(**{name: value for name, (*_, value) in ranges.items()}))
        return
    sliders = {name: ipywidgets.FloatSlider(value, min=least, max=largest, step=step, continuous_update=False)
               for name, (least, largest, step, value) in ranges.items()}
    ipywidgets.interact(lambda **values: show(draw(**values)), **sliders)
