"""Each example of the page on messages and events is a file that its command imports."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from made_dbn import SMALL, orders, write
from test_docs import ROOT, blocks, cli_words

from mm_nautilus.data.catalog import CatalogReader
from mm_nautilus.data.formats import FORMATS, guessed_format

PAGE = ROOT / "docs" / "captures.md"
LINES = [re.sub(r"\\\n +", "", block).strip() for block in blocks(PAGE, "bash")]
TEXTS = blocks(PAGE, "text")


def _make(name: str) -> None:
    """Write the file of a command as the page shows it, or as it says."""
    if name.endswith(".npz"):
        (block,) = blocks(PAGE, "python")
        exec(compile(block, str(PAGE), "exec"), {})  # noqa: S102
    elif ".dbn" in name:
        write(Path(), "mbo", orders(*SMALL)).rename(name)
    else:
        shown = [line for line in LINES if not re.search(r"\.npz|\.dbn", line)]
        Path(name).write_text(
            TEXTS[[cli_words(line)[3] for line in shown].index(name)] + "\n", encoding="utf-8"
        )


@pytest.mark.parametrize("line", LINES, ids=lambda line: shlex.split(line)[4])
def test_the_example_of_a_format_is_imported(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.replace("configs/", f"{ROOT / 'configs'}/") for word in cli_words(line)]
    _make(words[3])
    assert guessed_format(Path(words[3])) == words[2]
    done = command(*words)
    assert done.returncode == 0, done.stderr
    reader = CatalogReader(Path("data/mine"))
    (spec,) = reader.instruments()
    assert sum(len(block) for block in reader.iter_deltas(spec.instrument_id)) >= 3


def test_the_page_has_every_format_that_is_no_table() -> None:
    shown = {cli_words(line)[2] for line in LINES}
    assert shown == FORMATS.keys() - {"tardis", "table"}
