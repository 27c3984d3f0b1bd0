"""From documents to vectors: fitting, applying and storing of each representation. Knows no label's meaning."""
