-- Remove rows of search: one array each of tenant, session_id, seq.
DELETE FROM {g}.search AS s
USING unnest(%b::text[], %b::text[], %b::bigint[]) AS gone (tenant, session_id, seq)
WHERE s.tenant = gone.tenant AND s.session_id = gone.session_id AND s.seq = gone.seq
