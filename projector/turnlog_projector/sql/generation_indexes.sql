-- The indexes of one generation: made with it, or after a replay has copied its rows in.

ALTER TABLE {g}.sessions ADD PRIMARY KEY (tenant, session_id);
CREATE INDEX sessions_by_user ON {g}.sessions (tenant, user_id, updated_at DESC, session_id DESC)
    WHERE NOT deleted;
CREATE INDEX sessions_by_tenant ON {g}.sessions (tenant, updated_at DESC, session_id DESC)
    WHERE NOT deleted;
CREATE INDEX sessions_shared ON {g}.sessions (tenant, updated_at DESC, session_id DESC)
    WHERE visibility = 'tenant' AND NOT deleted;

ALTER TABLE {g}.turns ADD PRIMARY KEY (tenant, session_id, seq);
CREATE UNIQUE INDEX turns_turn_id ON {g}.turns (tenant, session_id, turn_id);
-- Statistics read nothing but these. No entry may come near 2.7 kB: figures.py bounds what is text.
CREATE INDEX turns_by_time ON {g}.turns (tenant, at) INCLUDE (
    session_id, seq, role, status, model, input_tokens, output_tokens, counters, counts, response_us
);
CREATE INDEX turns_rated ON {g}.turns (tenant, at) WHERE ratings IS NOT NULL;

ALTER TABLE {g}.branches ADD PRIMARY KEY (tenant, session_id, branch_id);
ALTER TABLE {g}.titles ADD PRIMARY KEY (tenant, session_id, seq);
ALTER TABLE {g}.turn_revisions ADD PRIMARY KEY (tenant, session_id, turn_id, seq);
ALTER TABLE {g}.annotations ADD PRIMARY KEY (tenant, session_id, turn_id, seq);
