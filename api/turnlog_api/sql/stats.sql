-- Statistics of what the reader may see, and how far each partition is projected in the same
-- snapshot. The function looks at who is reading by itself.
SELECT
    a.generation,
    turnlog.stats(
        a.generation,
        %(starts)s::timestamptz[],
        %(ends)s::timestamptz,
        %(days)s::text[],
        %(user_id)s::text,
        %(project)s::text,
        %(in_session)s::text
    ),
    (SELECT json_object_agg(o.partition, o.n) FROM turnlog.offsets AS o)
FROM turnlog.active AS a
WHERE a.only_row
