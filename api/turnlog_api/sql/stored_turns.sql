-- Turns as they stand, without those that a strong read knows better.
SELECT t.seq, t.body
FROM {g}.turns AS t
WHERE {stored_filters}
ORDER BY t.seq --? asc
ORDER BY t.seq DESC --? desc
LIMIT %(limit)s::bigint + 1
