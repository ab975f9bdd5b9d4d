-- The rows of some sessions, one array each of tenant and session_id; each with the place of its
-- session there, from 1 on, instead of these two.
SELECT
    key.place, r.turn_id, r.seq, r.branch_id, r.role, r.status, r.at, r.body,
    r.model, r.input_tokens, r.output_tokens, r.counters, r.counts, r.response_us, r.ratings
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS key (tenant, session_id, place)
JOIN {g}.turns AS r ON r.tenant = key.tenant AND r.session_id = key.session_id
ORDER BY key.place, r.seq
