COPY {g}.search FROM STDIN
