import pytest

from services.kit.placement import LogEnds, Verdict, judge, source_cluster


@pytest.mark.parametrize(
    ("mark", "verdict"), [(4, "lost"), (5, "go-on"), (7, "go-on"), (9, "go-on"), (10, "shorter")]
)
def test_a_mark_is_judged_by_the_ends_of_the_log(mark: int, verdict: Verdict) -> None:
    assert judge(mark, LogEnds(start=5, end=9)) == verdict


def test_records_of_a_topic_made_anew_have_another_identity() -> None:
    assert source_cluster("abc", 0) == "abc"
    assert source_cluster("abc", 1) != source_cluster("abc", 2) != "abc"
