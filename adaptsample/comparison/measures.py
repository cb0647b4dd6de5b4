"""The errors that runs are compared by."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

Measure: TypeAlias = Literal["mae", "rmse", "max"]

ERROR_NAMES: Final[Mapping[Measure, str]] = {
    "mae": "grid MAE",
    "rmse": "grid RMSE",
    "max": "largest grid error",
}
