import pytest

from mm_nautilus.system.plain_text import counted, without_passwords


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("was 'tgram://123:abc/456', which", "was 'tgram://...', which"),
        ("ntfy://topic", "ntfy://..."),
        ("https://discord.com/api/webhooks/1/abc", "https://discord.com/..."),
        ("https://discord.com?key=abc", "https://discord.com/..."),
        ("http://store:9000, which", "http://store:9000, which"),
        ("https://me:abc@host/x (y)", "https://***@host/... (y)"),
        ("s3://bucket/a/b.parquet", "s3://bucket/a/b.parquet"),
        ("postgresql+psycopg://me:abc@host/db", "postgresql+psycopg://***@host/db"),
        ("wss://ws.example/v2", "wss://ws.example/v2"),
    ],
)
def test_a_path_that_may_be_a_secret_is_not_repeated(text: str, told: str) -> None:
    assert without_passwords(text) == told
    assert without_passwords(told) == told
