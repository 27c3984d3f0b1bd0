-- The crawl's journal: each source's answer for each id, requests by day, pauses, and hashes of exports.
CREATE TABLE IF NOT EXISTS answers (
    movie_id TEXT NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, description TEXT, detail TEXT NOT NULL,
    answered_at REAL NOT NULL, PRIMARY KEY (movie_id, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    source TEXT NOT NULL, day TEXT NOT NULL, sent INTEGER NOT NULL, PRIMARY KEY (source, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pauses (source TEXT PRIMARY KEY, until REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS exports (sha256 TEXT PRIMARY KEY);
