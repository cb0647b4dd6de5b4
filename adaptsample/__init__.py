"""Surrogates of expensive functions, good to a known error, for as few evaluations as possible.

What most programs need is here; everything else is in its wing, as `adaptsample.oracles`. Names are
imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
