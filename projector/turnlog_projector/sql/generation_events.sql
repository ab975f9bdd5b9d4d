-- How many events a generation is folded from.
SELECT coalesce(sum(seq), 0)::bigint FROM {g}.sessions
