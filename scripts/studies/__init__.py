"""The studies from which this project grew, a file each: as they were, and at our best."""

from scripts.studies.common.pages import Pages as Pages
from scripts.studies.common.study import Effort as Effort
from scripts.studies.common.study import Finding as Finding
from scripts.studies.common.study import Study as Study
from scripts.studies.common.study import perform as perform
from scripts.studies.common.study import studies as studies
