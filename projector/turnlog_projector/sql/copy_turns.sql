COPY {g}.turns FROM STDIN
