import json

import polars as pl

from tasks.report.leaderboard import PUBLISHED_METRICS, compare_published, read_published, render_published


def write_metrics(folder, jaccard):
    folder.mkdir()
    values = {"test/jaccard": jaccard, "test/recall_samples": 0.5}
    rules = {"fixed": values, "fixed-or-none": {"test/jaccard": jaccard / 2}}
    (folder / "metrics.json").write_text(json.dumps({"chosen_rule": "fixed", "rules": rules}))
    return folder


def test_models_that_do_published_work_stand_beside_it_and_others_are_left_out(tmp_path):
    names = ("mine", "original-logreg-tfidf", "original-logreg-counts")
    table = compare_published([write_metrics(tmp_path / name, 0.4) for name in names])
    ours = table.filter(pl.col("model").is_not_null())
    assert set(table["table"]) == {"linear"}
    assert ours["model"].to_list() == ["original-logreg-counts", "original-logreg-tfidf"]
    first = ours.row(0, named=True)
    assert (first["published_jaccard"], first["ours_jaccard"], first["ours_precision_samples"]) == (0.3448, 0.4, None)
    text = render_published(table)
    assert "| logistic regression on counts | original-logreg-counts | fixed | 0.345 / 0.400 |" in text
    assert "| nearest neighbours on counts | – | – | 0.185 / – |" in text
    assert "Hamming" not in text  # not published of these


def test_the_same_model_stands_beside_what_another_rule_published(tmp_path):
    table = compare_published([write_metrics(tmp_path / "original-logreg-lemmas", 0.4)])
    found = table.filter(pl.col("model").is_not_null()).select("rule", "published_jaccard", "ours_jaccard").rows()
    assert found == [("fixed-or-none", 0.3337, 0.2), ("fixed", 0.3772, 0.4)]


def test_no_published_model_no_rows(tmp_path):
    assert compare_published([write_metrics(tmp_path / "mine", 0.4)]).is_empty()


def test_published_figures_are_shares_and_no_model_stands_twice_with_one_rule():
    published = read_published()
    assert published.filter(pl.col("model").is_not_null()).select("model", "rule").is_unique().all()
    figures = published.select(pl.concat_list(PUBLISHED_METRICS).explode().drop_nulls()).to_series()
    assert figures.is_between(0, 1, closed="none").all()
    assert (published.height, len(figures)) == (22, 131)
