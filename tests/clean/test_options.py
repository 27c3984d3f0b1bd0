from flows.cli import parse_command
from flows.config import PrepareConfig
from tasks.clean.profiles import CleanConfig
from tasks.clean.prune import PruneConfig


def test_pruning_is_chosen_on_the_command_line() -> None:
    arguments = ["--clean.prune.min-words", "10", "--clean.prune.gibberish", "--clean.disable", "tba,no_plot"]
    config = parse_command(PrepareConfig, arguments)
    assert config.clean == CleanConfig(prune=PruneConfig(min_words=10, gibberish=True), disable=("tba", "no_plot"))
    assert parse_command(PrepareConfig, []).clean == CleanConfig()
