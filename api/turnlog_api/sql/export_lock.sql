-- Held until the end of the transaction by whoever asks for an export of the same reader, so that no
-- two of them count at once.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || E'\n' || coalesce(%(owner)s::text, ''), 7))
