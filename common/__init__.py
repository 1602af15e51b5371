"""What two or more cases share: settings, running, pictures, data sets, metrics, figures. It imports no case."""
from common.base import early as early  # first of all: a package that is missing is said in one line
