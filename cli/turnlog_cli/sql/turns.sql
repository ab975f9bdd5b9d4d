-- How many turns are visible in all sessions: those that are neither cleared nor retracted.
SELECT coalesce(sum(s.turn_count), 0)::bigint
FROM {g}.sessions AS s
