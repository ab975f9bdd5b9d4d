-- The indexes of what is searched: made with the table, or after a replay has filled it. New rows
-- wait in a list of the index until it has this size (kB), and then are taken in all at once.
ALTER TABLE {g}.search ADD PRIMARY KEY (tenant, session_id, seq);
CREATE INDEX search_newest ON {g}.search (tenant, at, session_id, seq);
CREATE INDEX search_words ON {g}.search USING gin (words)
    WITH (fastupdate = on, gin_pending_list_limit = 512);
