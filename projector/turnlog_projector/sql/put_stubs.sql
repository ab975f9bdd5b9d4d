-- Archived events of a session become stubs: one array each of seq, hash, bytes.
UPDATE turnlog.archive AS a SET
    hash = row.hash,
    bytes = row.bytes
FROM unnest(%(seqs)b::bigint[], %(hashes)b::bytea[], %(stubs)b::bytea[]) AS row (seq, hash, bytes)
WHERE a.partition = %(partition)s AND a.tenant = %(tenant)s AND a.session_id = %(session_id)s
    AND a.seq = row.seq
