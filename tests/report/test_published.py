import json

import polars as pl

from tasks.report.published import METRICS, PUBLISHED, beside_published, render_published


def write_metrics(folder, jaccard):
    folder.mkdir()
    values = {"test/jaccard": jaccard, "test/recall_samples": 0.5}
    (folder / "metrics.json").write_text(json.dumps({"chosen_rule": "fixed", "rules": {"fixed": values}}))
    return folder


def test_models_that_do_published_work_stand_beside_it_and_others_are_left_out(tmp_path):
    names = ("mine", "original-logreg-tfidf", "original-logreg-counts")
    table = beside_published([write_metrics(tmp_path / name, 0.4) for name in names])
    assert table["model"].to_list() == ["original-logreg-counts", "original-logreg-tfidf"]
    first = table.row(0, named=True)
    assert (first["published_jaccard"], first["ours_jaccard"], first["ours_precision_samples"]) == (0.3448, 0.4, None)
    assert "| logistic regression on counts | original-logreg-counts | fixed | 0.345 / 0.400 |" in render_published(
        table
    )


def test_no_published_model_no_rows(tmp_path):
    assert beside_published([write_metrics(tmp_path / "mine", 0.4)]).is_empty()


def test_published_figures_are_shares_and_each_model_has_one_row():
    published = pl.read_csv(PUBLISHED)
    assert published["model"].is_unique().all()
    figures = published.select(pl.concat_list(METRICS).explode().drop_nulls()).to_series()
    assert figures.is_between(0, 1, closed="none").all()
    assert len(figures) > 40
