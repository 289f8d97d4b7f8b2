#!/bin/sh
# Ready when PostgreSQL accepts connections.
for folder in /usr/lib/postgresql/*/bin; do
  [ -d "$folder" ] && PATH="$folder:$PATH"
done
exec pg_isready --quiet --host=/tmp
