COPY {g}.sessions FROM STDIN
