"""Pages of studies: one for each, and the overview that is made of their records."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from adaptsample.core.provenance import commit, versions
from scripts.studies.common.study import Effort, Finding, Study

_OVERVIEW = """\
# The studies from which this project grew

```sh
adaptsample reproduce all
```

Each was made at the settings of its source, then with the best that this library has. Seeds are
part of the studies: on one kind of machine the numbers come out again, seconds aside.

| study | claim | holds | because |
|---|---|---|---|
"""


@final
@dataclass(frozen=True)
class Pages:
    """A folder of pages, pictures and records.

    Args:
        folder: where they are; it is made when the first is written.
    """

    folder: Path

    def write(self, name: str, study: Study, finding: Finding, *, effort: Effort) -> Path:
        """Write a study's picture, page and record, and the overview of all; return the page.

        Raises:
            ValueError: a finding without tables, or with an empty one.
        """
        if not finding.tables or not all(table.rows for _, table in finding.tables):
            raise ValueError(f"{name} found nothing: a table is empty")
        self.folder.mkdir(parents=True, exist_ok=True)
        finding.figure.savefig(self.folder / f"{name}.png", dpi=130)
        page = self.folder / f"{name}.md"
        page.write_text(_page(name, study, finding, effort))
        record = {
            "title": study.title,
            "claim": study.claim,
            "holds": finding.holds,
            "because": finding.because,
            "quick": effort.is_quick,
        }
        (self.folder / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
        (self.folder / "README.md").write_text(_overview(self._records()))
        return page

    def _records(self) -> dict[str, Any]:
        paths = sorted(self.folder.glob("*.json"))
        return {path.stem: json.loads(path.read_text()) for path in paths}


def command(name: str, effort: Effort) -> str:
    """Return what makes a study again."""
    return f"adaptsample reproduce {name}{' --quick' * effort.is_quick}"


def _page(name: str, study: Study, finding: Finding, effort: Effort) -> str:
    made_with = ", ".join(f"{package} {version}" for package, version in versions().items())
    tables = "\n".join(f"## {heading}\n\n{table.markdown()}" for heading, table in finding.tables)
    return (
        "\n".join(
            part
            for part in (
                f"# {study.title}\n",
                f"```sh\n{command(name, effort)}\n```\n",
                f"**Claim:** {study.claim}\n",
                f"**Holds:** {finding.holds}. {finding.because}\n",
                f"![{study.title}]({name}.png)\n",
                tables,
                finding.notes and f"## Notes\n\n{finding.notes.strip()}\n",
                f"Made with {made_with}; commit {commit() or 'unknown'}; {platform.machine()}, "
                f"{os.cpu_count()} cores.",
            )
            if part
        )
        + "\n"
    )


def _overview(records: Mapping[str, Any]) -> str:
    rows = [
        f"| [{name}]({name}.md), [figure]({name}.png){' (quick)' * record['quick']} "
        f"| {_cell(record['claim'])} | {record['holds']} | {_cell(record['because'])} |\n"
        for name, record in records.items()
    ]
    return _OVERVIEW + "".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
