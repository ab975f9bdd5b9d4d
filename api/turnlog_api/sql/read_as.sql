-- Say who reads, until the transaction ends (see scope.py).
SELECT
    set_config('turnlog.reads', %(reads)s, true),
    set_config('turnlog.tenant', %(tenant)s, true),
    set_config('turnlog.user', %(user)s, true),
    set_config('turnlog.session', %(session_id)s, true)
