import pytest

from mm_nautilus.system.plain_text import counted


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("fill",), "0 fills"),
        (1, ("fill",), "1 fill"),
        (1284, ("fill",), "1,284 fills"),
        (1, ("ok", "ok"), "1 ok"),
        (2, ("ok", "ok"), "2 ok"),
    ],
)
def test_a_count_has_the_number_of_its_noun(number, words, text):
    assert counted(number, *words) == text
