-- The generation that was live last.
SELECT generation FROM turnlog.generations
WHERE state = 'kept'
ORDER BY flipped_at DESC NULLS LAST, generation DESC
LIMIT 1
