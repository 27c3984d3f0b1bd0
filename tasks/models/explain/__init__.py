"""Why a model gives a movie its scores: what each word and field adds to the log-odds of a genre."""
