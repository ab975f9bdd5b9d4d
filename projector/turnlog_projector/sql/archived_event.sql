-- The bytes of one archived event, and their hash.
SELECT bytes, hash
FROM turnlog.archive
WHERE partition = %s AND tenant = %s AND session_id = %s AND seq = %s
