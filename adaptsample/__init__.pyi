from .acquisition import State as State
from .acquisition import Strategy as Strategy
from .core import Box as Box
from .core import Dataset as Dataset
from .loop import Run as Run
from .loop import Sampler as Sampler
from .surrogates import Model as Model
from .surrogates import Surrogate as Surrogate
