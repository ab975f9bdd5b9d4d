-- How many bytes the turns of some sessions take, about; one array each of tenant and session_id.
SELECT key.place, sum(octet_length(r.body) + 500)::bigint
FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS key (tenant, session_id, place)
JOIN {g}.turns AS r ON r.tenant = key.tenant AND r.session_id = key.session_id
GROUP BY key.place
