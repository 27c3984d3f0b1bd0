"""Options of the clean stage, and the meaning of the columns of a user's table."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.core.schema import EXCLUDED_GENRES


class PruneConfig(BaseModel):
    """Which movies to drop because of their descriptions. Default: none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_words: int | None = Field(
        None, ge=1, description="Drop shorter descriptions, in words; the earlier system used 10."
    )
    max_words: int | None = Field(
        None, ge=1, description="Drop longer descriptions, in words; the earlier system used 200."
    )
    production_phrases: bool = Field(
        False, description="Drop descriptions of the production, with 'directed by', 'starring', 'filmed in' and so on."
    )
    gibberish: bool = Field(False, description="Drop gibberish descriptions.")
    not_english: bool = Field(False, description="Drop descriptions with mostly non-English words.")

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> Self:
        if self.min_words and self.max_words and self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is more than max_words {self.max_words}")
        return self


class CleanConfig(BaseModel):
    """Options of the clean stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Literal["default", "original"] = Field(
        "default",
        description="Rules to apply: 'original' is exactly as in the earlier system, 'default' fixes its faults.",
    )
    disable: tuple[str, ...] = Field((), description="Rules to disable, such as 'author_signature'.")
    excluded_genres: tuple[str, ...] = Field(EXCLUDED_GENRES, description="Drop all rows with one of these genres.")
    prune: PruneConfig = Field(PruneConfig(), description="Movies to drop because of their descriptions.")


# Columns with these names are read as in a listing: years also as decades, runtimes as ranges, people as lists.
LISTING_FIELDS: Final = ("year", "certificate", "runtime", "director", "star")
# Names that the pipeline uses for something else.
RESERVED: Final = frozenset(
    {"movie_id", "movie_name", "title", "description", "genres", "lemmas"}
    | {"decade", "runtime_min", "directors", "stars", "own", "own_fields", "rest"}
)


class TableConfig(BaseModel):
    """The meaning of the columns of a user's own table, the CSV or parquet file given as `source`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, description="Column of ids: letters, digits and _.:- only.")
    text: str = Field(min_length=1, description="Column of the text to classify.")
    labels: tuple[str, ...] = Field(
        min_length=1,
        description="Column of labels, separated or (parquet) as lists; or several columns of 0 and 1, one per label.",
    )
    title: str | None = Field(None, description="Column of titles.")
    separator: str = Field("|", min_length=1, description="Separator between labels in a text column.")
    fields: tuple[str, ...] = Field(
        (), description="Other columns, of categories or numbers, for models that read fields."
    )
    min_rows: int = Field(10, ge=1, description="Drop labels with fewer rows, and rows without other labels.")

    @model_validator(mode="before")
    @classmethod
    def _take_one_column_of_labels(cls, given: object) -> object:
        if isinstance(given, dict) and isinstance(given.get("labels"), str):
            return {**given, "labels": (given["labels"],)}
        return given

    @model_validator(mode="after")
    def _each_column_is_named_once(self) -> Self:
        if repeated := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"the column {', '.join(repeated)} is named twice; name each column once")
        if taken := sorted(RESERVED.intersection(self.fields)):
            raise ValueError(f"a field cannot be called {', '.join(taken)}; rename the column")
        if odd := [name for name in self.fields if "=" in name or name != " ".join(name.split())]:
            raise ValueError(f"the field {odd[0]!r} has an = or odd spaces in its name; rename the column")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns to read."""
        title = (self.title,) if self.title is not None else ()
        return (self.id, self.text, *title, *self.labels, *self.fields)
