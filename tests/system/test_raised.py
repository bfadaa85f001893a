"""What is said of an exception of a user's code."""

from pathlib import Path

import pytest

from mm_nautilus.system.raised import is_in_users_code, raised_text

SOURCE = "import numpy as np\n\ndef draw():\n    return np.random.default_rng(1).normal(0, -1)\n"


def test_the_place_is_the_users_line_where_a_compiled_library_raises(tmp_path: Path) -> None:
    """A compiled library's frames have names such as numpy/random/_common.pyx."""
    file, names = tmp_path / "mine.py", {}
    exec(compile(SOURCE, str(file), "exec"), names)  # noqa: S102 - it stands for a module of a user
    with pytest.raises(ValueError, match="scale") as raised:
        names["draw"]()
    assert raised_text(raised.value) == f"ValueError at {file}:4: scale < 0"
    assert is_in_users_code(raised.value)
