"""Fitting of classifiers on vectors and labels, with scikit-learn. Does not travel with a served model."""
