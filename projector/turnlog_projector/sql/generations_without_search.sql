SELECT generation, state
FROM turnlog.generations
WHERE to_regclass('g' || generation || '.search') IS NULL
ORDER BY generation
