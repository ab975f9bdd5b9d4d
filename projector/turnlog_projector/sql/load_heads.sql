-- What is archived and folded of some sessions: one array each of partition, tenant, session_id; then
-- the largest body to load (null: any). A larger one is left out, and the last column says so.
SELECT
    h.partition, h.tenant, h.session_id, h.seq AS archived_seq, h.event_id AS archived_event_id,
    h.recorded_at, h.parked_seq,
    CASE WHEN fits.fits THEN s.body END,
    s.event_id, s.started, s.erased, s.floor, s.last_turn_id, s.last_turn_seq,
    s.title_turn_id, s.tip_turn_id, s.branches, s.ignored,
    NOT fits.fits
FROM unnest(%b::integer[], %b::text[], %b::text[]) AS key (partition, tenant, session_id)
JOIN turnlog.heads AS h USING (partition, tenant, session_id)
LEFT JOIN {g}.sessions AS s ON s.tenant = h.tenant AND s.session_id = h.session_id
CROSS JOIN LATERAL (
    SELECT coalesce(octet_length(s.body) <= %b::bigint, true) AS fits
) AS fits
