import csv

from scripts.studies.insurance import COLUMNS, PATH, generate, table


def test_the_generator_makes_exactly_the_table_that_is_shipped() -> None:
    assert generate() == PATH.read_text()


def test_the_table_has_all_columns_and_no_value_is_missing() -> None:
    with PATH.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 600
    assert all(tuple(row) == COLUMNS and all(row.values()) for row in rows)
    assert {row["smoker"] for row in rows} == {"no", "yes"}


def test_each_non_smoker_is_a_point_of_the_oracle() -> None:
    with PATH.open(newline="") as file:
        n = sum(row["smoker"] == "no" for row in csv.DictReader(file))
    assert len(table().pool) == n
    assert table().n_skipped == 0
