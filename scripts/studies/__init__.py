"""The experiments from which this project grew, a file each: as they were, and at our best."""

from scripts.studies._pages import Pages as Pages
from scripts.studies._study import Effort as Effort
from scripts.studies._study import Finding as Finding
from scripts.studies._study import Study as Study
from scripts.studies._study import perform as perform
from scripts.studies._study import studies as studies
