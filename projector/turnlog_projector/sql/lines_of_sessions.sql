-- The rows of some sessions, one array each of tenant and session_id; each with the place of its
-- session there, from 1 on, instead of these two.
SELECT
    key.place, r.user_id, r.project, r.title, r.visibility, r.archived, r.pinned, r.deleted,
    r.created_at, r.updated_at, r.turn_count, r.seq, r.body, r.event_id, r.started, r.erased,
    r.floor, r.last_turn_id, r.last_turn_seq, r.title_turn_id, r.tip_turn_id, r.branches,
    r.ignored
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS key (tenant, session_id, place)
JOIN {g}.sessions AS r ON r.tenant = key.tenant AND r.session_id = key.session_id
ORDER BY key.place
