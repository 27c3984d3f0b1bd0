"""Where plots come from, one module a source. A source knows its questions and answers, and nothing of the journal."""
