-- The rows of some sessions, one array each of tenant and session_id; each with the place of its
-- session there, from 1 on, instead of these two.
SELECT
    key.place, r.seq, r.turn_id, r.body
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS key (tenant, session_id, place)
JOIN {g}.titles AS r ON r.tenant = key.tenant AND r.session_id = key.session_id
ORDER BY key.place, r.seq
