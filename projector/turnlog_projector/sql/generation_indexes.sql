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

ALTER TABLE {g}.branches ADD PRIMARY KEY (tenant, session_id, branch_id);
ALTER TABLE {g}.titles ADD PRIMARY KEY (tenant, session_id, seq);
ALTER TABLE {g}.turn_revisions ADD PRIMARY KEY (tenant, session_id, turn_id, seq);
ALTER TABLE {g}.annotations ADD PRIMARY KEY (tenant, session_id, turn_id, seq);
