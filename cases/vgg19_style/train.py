"""Style transfer: python cases/vgg19_style/train.py [options] [key=value ...]   (settings: configs/vgg19_style.yaml)

paint every content in every style   python cases/vgg19_style/train.py
a network that paints one style      python cases/vgg19_style/train.py preset=fast --name starry data.style=starry_night.jpg
... or many                          python cases/vgg19_style/train.py preset=styles --name styles data.styles=[a.jpg,b.jpg]
the feature network `small`          python cases/vgg19_style/train.py preset=small --name small
a first look                         python cases/vgg19_style/train.py --demo        embedded sample data
"""
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])      # the repository instead of this folder, whose test.py would hide Python's

from cases.vgg19_style.distill import distill
from cases.vgg19_style.fast import train_fast
from cases.vgg19_style.optimise import paint
from common.errors import start
from common.run import Run


def main(argv=None):
    run = Run("vgg19_style", "train", argv)
    {"optimise": paint, "fast": train_fast, "distill": distill}[run.config.mode](run, run.config)
    run.finish()


if __name__ == "__main__":
    sys.exit(start(main))
