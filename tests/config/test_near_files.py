"""Paths that lead nowhere, and what was most likely meant."""

from pathlib import Path

import pytest

from mm_nautilus.config.near_files import near_file_hint, near_folder_hint
from mm_nautilus.system.near_names import nearest

YAML = ("*.yaml", "*.yml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("backtest.yaml", "margin.yml", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.yaml").mkdir()
    return tmp_path


def test_the_nearest_file_is_named(folder: Path) -> None:
    assert (
        near_file_hint(folder / "bactest.yml", YAML, "YAML file")
        == f"did you mean {folder / 'backtest.yaml'}?"
    )


def test_what_was_given_is_never_meant() -> None:
    assert nearest("gamma", ["gamma", "zeta"]) is None
    assert nearest("gamma", ["gamma", "gama"]) == "gama"
    assert nearest("GAMMA", ["gamma"]) == "gamma"


def test_without_a_near_one_all_are_named_but_hidden_ones_and_folders(folder: Path) -> None:
    assert near_file_hint(folder / "zzz", YAML, "YAML file") == "there are backtest.yaml, margin.yml"
    made = near_file_hint(folder / "zzz", YAML, "YAML file", "mm-nautilus config init")
    assert made == "there are backtest.yaml, margin.yml; `mm-nautilus config init` writes one"


def test_many_names_are_cut(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02d}.csv").touch()
    hint = near_file_hint(tmp_path / "recording", ["*.csv"], "CSV file")
    assert hint.startswith("there are 00.csv, 01.csv, ")
    assert hint.endswith(", 11.csv, ...")


def test_a_folder_without_files_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    assert near_file_hint(tmp_path / "x.csv", ["*.csv"], "CSV file") == f"there is no CSV file in {tmp_path}"
    missing = tmp_path / "nowhere"
    assert near_file_hint(missing / "x.csv", ["*.csv"], "CSV file") == f"there is no folder {missing}"


def test_the_nearest_folder_with_the_file_or_the_last_one(tmp_path: Path) -> None:
    nothing = near_folder_hint(tmp_path / "x", "summary.json", "folder of a run")
    assert nothing == f"there is no folder of a run in {tmp_path}"
    for name in ("20251213T120000Z-backtest", "20251214T120000Z-margin", "other"):
        (tmp_path / name).mkdir()
        if name != "other":
            (tmp_path / name / "summary.json").touch()
    near = near_folder_hint(tmp_path / "20251213T120000-backtest", "summary.json", "folder of a run")
    assert near == f"did you mean {tmp_path / '20251213T120000Z-backtest'}?"
    far = near_folder_hint(tmp_path / "other-one", "summary.json", "folder of a run")
    assert far == f"the last one there is {tmp_path / '20251214T120000Z-margin'}"
