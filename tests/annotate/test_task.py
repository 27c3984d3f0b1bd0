import polars as pl

from tasks.annotate.corpus import AnnotateConfig
from tasks.annotate.task import annotate
from tasks.core.settings import DataPaths


def test_the_task_annotates_the_data_folder(paths: DataPaths) -> None:
    paths.clean.mkdir(parents=True)
    pl.DataFrame({"movie_id": ["tt1"], "description": ["A bell."], "genres": [["Drama"]]}).write_parquet(paths.movies)
    result = annotate.fn(AnnotateConfig(), 1)
    assert result.counts["tokens"] == 3
    assert paths.conllu.read_text(encoding="utf-8").startswith("# newdoc id = tt1\n")
