COPY {g}.annotations FROM STDIN
