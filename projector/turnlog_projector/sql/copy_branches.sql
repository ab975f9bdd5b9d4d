COPY {g}.branches FROM STDIN
