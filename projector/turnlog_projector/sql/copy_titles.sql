COPY {g}.titles FROM STDIN
