COPY {g}.turn_revisions FROM STDIN
