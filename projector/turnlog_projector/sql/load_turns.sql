-- Turns that a batch will look at: how many bytes to load at most (null: any number), then one array
-- each of tenant, session_id, turn_id. Beyond those bytes, in the order given, a body is null.
SELECT
    t.tenant, t.session_id, t.turn_id,
    CASE
        WHEN coalesce(sum(octet_length(t.body)) OVER (ORDER BY key.place) <= %b::bigint, true)
        THEN t.body
    END
FROM unnest(%b::text[], %b::text[], %b::text[]) WITH ORDINALITY
    AS key (tenant, session_id, turn_id, place)
JOIN {g}.turns AS t USING (tenant, session_id, turn_id)
