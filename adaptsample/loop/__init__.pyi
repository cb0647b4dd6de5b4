from .run import Round as Round
from .run import Run as Run
from .sampler import Sampler as Sampler
from .specification import Specification as Specification
