-- Of a session, the rows whose turn, or whose given title (seq 0), is not there any more. With
-- `without_text` also those whose turn has no text: what was erased leaves such a turn in a
-- generation that does not hold the erasing event.
DELETE FROM {g}.search AS found
WHERE found.tenant = %(tenant)s AND found.session_id = %(session_id)s
    AND NOT EXISTS (
        SELECT FROM {g}.turns AS t
        WHERE t.tenant = found.tenant AND t.session_id = found.session_id AND t.seq = found.seq
            AND t.status <> 'retracted'
            AND NOT (%(without_text)s AND strpos(t.body, '"content":null') > 0)
    )
    AND NOT EXISTS (
        SELECT FROM {g}.sessions AS s
        WHERE s.tenant = found.tenant AND s.session_id = found.session_id AND found.seq = 0
            AND s.title IS NOT NULL AND s.title_turn_id IS NULL
    )
