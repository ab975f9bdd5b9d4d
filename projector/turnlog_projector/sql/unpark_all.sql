WITH gone AS (
    DELETE FROM turnlog.parked WHERE state = 'parked'
)
UPDATE turnlog.heads SET parked_seq = NULL WHERE parked_seq IS NOT NULL
