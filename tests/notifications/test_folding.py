"""Which messages are sent now, which as one later, and which not: none without being counted."""

from mm_nautilus.notifications.folding import FOLD_SECONDS, MOST_AN_HOUR, Draft, Folding


def draft(number: int, kind: str = "disconnect", about: str = "") -> Draft:
    return Draft(number, kind, about, "info", f"number {number}", ())


def add(folding: Folding, one: Draft, now: float) -> list[Draft]:
    return list(folding.add(one, now))


def test_the_first_is_sent_at_once_and_the_rest_of_its_minute_as_one_with_their_count() -> None:
    folding = Folding()
    assert add(folding, draft(1), 0.0) == [draft(1)]
    assert [add(folding, draft(number), float(number)) for number in (2, 3, 4)] == [[], [], []]
    assert folding.next_at == FOLD_SECONDS
    assert list(folding.due(FOLD_SECONDS - 0.1)) == []
    (one,) = folding.due(FOLD_SECONDS)
    assert (one.words, one.lines) == ("number 4", ("3 of these since the one before; this is the last",))
    assert folding.folded == 2
    assert folding.next_at is None


def test_other_kinds_and_other_symbols_are_not_folded_together() -> None:
    folding = Folding()
    for one in (draft(1, "halt", "XRP/USDT"), draft(2, "halt", "BTC/USDT"), draft(3, "resume", "XRP/USDT")):
        assert add(folding, one, 0.0) == [one]


def test_what_waits_for_its_minute_is_sent_at_the_end_of_the_run() -> None:
    folding = Folding()
    add(folding, draft(1), 0.0)
    add(folding, draft(2), 1.0)
    assert list(folding.due(2.0, is_over=True)) == [draft(2)]


def test_beyond_the_hours_limit_only_halts_and_the_end_are_sent_and_the_others_are_counted() -> None:
    folding = Folding()
    for number in range(MOST_AN_HOUR):
        assert add(folding, draft(number, about=str(number)), 0.0)
    assert add(folding, draft(90, about="one"), 1.0) == []
    assert add(folding, draft(91, "guards", "two"), 1.0) == []
    for kind in ("halt", "end"):
        assert add(folding, draft(92, kind), 1.0) == [draft(92, kind)]
    assert folding.left_out == 2
    assert list(folding.due(3_599.0)) == []
    (one,) = folding.due(3_600.0)
    assert one.words == "2 messages were left out"
    assert one.lines == (f"they were beyond {MOST_AN_HOUR} an hour: disconnect: 1, guards: 1",)
    assert list(folding.due(3_601.0)) == []


def test_what_was_left_out_is_said_at_the_end_of_the_run() -> None:
    folding = Folding()
    for number in range(MOST_AN_HOUR + 1):
        add(folding, draft(number, about=str(number)), 0.0)
    assert [one.words for one in folding.due(1.0, is_over=True)] == ["1 messages were left out"]


def test_each_summary_is_sent_by_itself() -> None:
    folding = Folding()
    for number in range(2 * MOST_AN_HOUR):
        assert add(folding, draft(number, "summary"), float(number)) == [draft(number, "summary")]
    assert (folding.folded, folding.left_out) == (0, 0)
