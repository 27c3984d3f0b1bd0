from tasks.core.settings import DataPaths
from tasks.explore import task
from tasks.explore.config import ExploreConfig


def test_the_task_explores_the_chosen_part_and_writes_the_page(paths: DataPaths) -> None:
    paths.raw.mkdir(parents=True)
    (paths.raw / "war.csv").write_text("movie_id,genre,description\ntt1,War,Text\n", encoding="utf-8")
    results = task.explore.fn(ExploreConfig(of="raw"), workers=2, forms=("svg", "png"))
    assert [result.name for result in results] == ["explore_raw", "explore"]
    assert 'href="raw/genres.png"' in (paths.explore / "index.html").read_text(encoding="utf-8")
