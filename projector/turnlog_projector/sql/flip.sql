-- Make a generation the live one; the former is kept, as far as it is now. The new epochs make the
-- next compare-and-set of every worker fail.
WITH raised AS (
    UPDATE turnlog.offsets SET epoch = epoch + 1
    RETURNING partition, pos
), kept AS (
    INSERT INTO turnlog.positions (generation, partition, pos)
    SELECT %(former)s, partition, pos FROM raised
    ON CONFLICT (generation, partition) DO UPDATE SET pos = excluded.pos
), gone AS (
    DELETE FROM turnlog.positions WHERE generation = %(generation)s
), states AS (
    UPDATE turnlog.generations SET
        state = CASE generation WHEN %(generation)s THEN 'live' ELSE 'kept' END,
        flipped_at = CASE generation WHEN %(generation)s THEN now() ELSE flipped_at END
    WHERE generation IN (%(generation)s, %(former)s)
)
UPDATE turnlog.active SET generation = %(generation)s
