"""A repository with one small case, for the tests of common/experiment/settings.py."""
import pytest

from common.base import paths
from common.base.errors import UserError
from common.experiment.settings import resolve

KIND = """\
about:                      # the paper
  title: Kindling the Darkness
  idea: {en: light up, zh: 点亮}
data:                       # what is read
  kind: lol                 # lol | synthetic: pairs of photographs, or darkened ones
  root: datasets/LOL        # path: the data set
  patch: 48                 # [1, 512] pixels: side of a crop
  workers: 2                # [0, inf) processes that read
model:                      # the network
  widths: [32, 64]          # [1, inf) channels of the two levels
  rates: [1, 0.5]           # (0, 1] one per level
  exposure: null            # [0, 1] mean of the picture, null when unknown
  extra: null               # anything short
  weights: null             # path: where to begin
  residual: true            # adds the input
train:                      # how it learns
  lr: 4e-4                  # (0, 1] Adam, falls by a cosine to zero
  batch_size: 4             # [1, inf) pairs in a step
  steps: 20000              # [1, inf) batches
  note: plain               # a remark for the log
styles: [a.png]             # path: pictures
seed: 1                     # [0, inf) of all draws
demo:                       # what --demo changes
  train: {steps: 12}
presets:
  paper:                    # to the letter
    train: {lr: 1e-3, steps: 500}
    data: {root: datasets/paper}
  wide: {model: {widths: [64, 128, 256]}}
"""


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """A repository whose only case is KIND; the working directory is its folder `elsewhere`."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "configs/kind.yaml").write_text(KIND, encoding="utf-8")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


@pytest.fixture
def write(kind):
    """write(text) makes mine.yaml, for --config, and returns its path."""
    def make(text):
        (kind / "mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return kind / "mine.yaml"
    return make


def mistake(*words, **options):
    """The message of the UserError that these words cause."""
    with pytest.raises(UserError) as caught:
        resolve("kind", words, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
