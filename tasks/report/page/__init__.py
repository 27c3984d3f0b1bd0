"""The report of a run as one page, made only from the files of other stages."""
