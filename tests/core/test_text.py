from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptsample import Box
from adaptsample.core.text import check_file_name, file_name, printable
from adaptsample.experiments.experiment import Experiment
from adaptsample.loop import Specification
from adaptsample.oracles import FunctionOracle
from benchmarks.reliability.referee import Plane

RESERVED = [
    "CON",
    "con",
    "Nul.txt",
    "aux",
    "PRN",
    "COM1",
    "lpt9.csv",
    "COM\N{SUPERSCRIPT TWO}",
    "CLOCK$",
]
HOSTILE = [
    *RESERVED,
    "",
    ".",
    "..",
    "...",
    "../up",
    "../../../../tmp/up",
    "/etc/passwd",
    "\\\\server\\share",
    "C:\\Windows",
    "c:evil",
    "~",
    "~root",
    ".hidden",
    "-rf",
    "--help",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\r\nb",
    "a\tb",
    "\x1b[2Ja",
    "a\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "a\N{ZERO WIDTH SPACE}b",
    "\ufeffa",
    "a\ud800b",
    "$(touch MARK)",
    "`touch MARK`",
    "; touch MARK",
    "| cat",
    "a*?",
    "<a>",
    '"a"',
    "a b ",
    " a",
    "a.",
    "x" * 300,
    "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 300,
    "%2e%2e%2f",
]


def _is_safe(name: str) -> bool:
    letters = all(c.isascii() and (c.isalnum() or c in "_.=+-") for c in name)
    stem = name.partition(".")[0].upper()
    reserved = stem in {"CON", "PRN", "AUX", "NUL"} or (
        stem[:3] in {"COM", "LPT"} and len(stem) == 4
    )
    return (
        letters
        and 0 < len(name) <= 100
        and name[0] not in ".-"
        and name[-1] != "."
        and not reserved
    )


@pytest.mark.parametrize("label", HOSTILE)
def test_any_label_becomes_a_safe_file_name(label: str) -> None:
    assert _is_safe(file_name(label))


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=80))
def test_any_text_becomes_a_safe_file_name(label: str) -> None:
    assert _is_safe(file_name(label))


def test_labels_that_differ_get_names_that_differ() -> None:
    names = [file_name(label) for label in [*HOSTILE, "a_b", "a b", "a  b", "_CON"]]
    assert len({name.lower() for name in names}) == len(names)


@pytest.mark.parametrize("label", ["peak", "mlp-topk", "monomial_7", "a.b", "x=1+2"])
def test_plain_labels_stay_as_they_are(label: str) -> None:
    assert file_name(label) == label


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("label", HOSTILE)
def test_nothing_is_written_outside_of_the_results(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "some" / "where" / "results"
    root.mkdir(parents=True)
    monkeypatch.chdir(root.parent)
    oracle = FunctionOracle(lambda x: x[:, 0], Box({"x": (0, 1)}))
    specification = Specification(oracle, surrogate=Plane(), strategy="random", n_initial=3)
    plain = Experiment(specification, labels=(label, label, label), budget=3)
    for labels in ((label, "s", "t"), ("o", label, label)):
        experiment = replace(plain, labels=labels)
        path = experiment.run_file(root)
        assert path.resolve().is_relative_to(root)
        assert len(path.relative_to(root).parts) == 3
        experiment.run(root)
        assert path.is_file()
    assert _files(tmp_path) == _files(root)


@pytest.mark.parametrize(
    "name",
    [n for n in HOSTILE if n not in {"$(touch MARK)", "`touch MARK`", "; touch MARK", "%2e%2e%2f"}],
)
def test_file_names_that_are_given_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="the file name") as error:
        check_file_name(name)
    assert len(str(error.value)) < 300
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["run.jsonl", "my result.txt", "größe", "$(touch MARK)", "a-b_c"])
def test_plain_file_names_pass(name: str) -> None:
    check_file_name(name)


def test_messages_are_short_and_steer_no_terminal() -> None:
    assert printable("a\x1b[2J\tb\n", 10) == "a\N{REPLACEMENT CHARACTER}[2J\tb\n"
    assert printable("x" * 99, 10) == "x" * 10 + "..."
