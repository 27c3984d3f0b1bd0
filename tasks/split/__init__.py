"""Train, validation and test parts, the development subset and the folds."""
