-- Turns that a batch will look at: one array each of tenant, session_id, turn_id.
SELECT t.tenant, t.session_id, t.turn_id, t.body
FROM unnest(%b::text[], %b::text[], %b::text[]) AS key (tenant, session_id, turn_id)
JOIN {g}.turns AS t USING (tenant, session_id, turn_id)
