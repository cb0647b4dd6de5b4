from .dataset import Dataset as Dataset
from .domain import Box as Box
from .domain import parse_bounds as parse_bounds
from .randomness import derive_generator as derive_generator
from .scaling import Scaling as Scaling
from .scaling import spread_of as spread_of
from .shapes import Points as Points
from .shapes import Values as Values
