-- How many turns of a branch stand, without those that a strong read knows better.
SELECT count(*)
FROM {g}.turns AS t
WHERE {stored_filters}
