#!/bin/sh
# Starts PostgreSQL on any image that has initdb and postgres: makes the cluster when there is none, gives the Secret's
# user the Secret's password, and serves TLS only. The password goes from file to server, never through arguments.
set -eu
umask 077
cd /

secret=/etc/image-registry/database
for folder in /usr/lib/postgresql/*/bin; do
  [ -d "$folder" ] && PATH="$folder:$PATH"
done

say() { echo "image-registry-db: $*"; }

# Statements below are one line each; a part of a password on the next line would be shown as a wrong statement.
for key in username password database; do
  case "$(cat "$secret/$key")" in
    "" | *"
"*)
      say "the key $key of the database's Secret must be one line and not empty: correct the Secret, then delete this Pod"
      exit 1
      ;;
  esac
done

major=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -d "$PGDATA" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    say "$PGDATA is not empty but holds no PostgreSQL cluster: move its content away, or give the claim a clean volume"
    exit 1
  fi
  # Made aside and renamed when whole: a first start that is killed leaves nothing that the next one would take for data.
  rm -rf "$PGDATA.new"
  say "making a new PostgreSQL $major cluster"
  initdb --pgdata="$PGDATA.new" --username=postgres --auth-local=peer --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C --data-checksums >/dev/null
  rm -rf "$PGDATA"
  mv "$PGDATA.new" "$PGDATA"
  sync
fi

found=$(cat "$PGDATA/PG_VERSION")
if [ "$found" != "$major" ]; then
  say "the data are of PostgreSQL $found but the image is $major: set postgresql.image.tag to $found, or dump and restore"
  exit 1
fi

# A text as an SQL string, an SQL name: what the quotes end is doubled.
text() { printf "'%s'" "$(sed "s/'/''/g" "$1")"; }
name() { printf '"%s"' "$(sed 's/"/""/g' "$1")"; }

# A Pod that was killed leaves a lock that names process 1. In the next Pod that is this script, and no server: PostgreSQL
# takes a lock of its own process, its parent or this one for old.
export PG_GRANDPARENT_PID=$$

# A single-user server answers before anybody can connect; one statement per line, errors without the statement.
alone() {
  postgres --single -D "$PGDATA" -c log_min_error_statement=panic -c log_statement=none -c log_checkpoints=off \
    -c standard_conforming_strings=on -c password_encryption=scram-sha-256 postgres
}
user=$(name "$secret/username")
database=$(name "$secret/database")
roles=$(echo "SELECT 'found' FROM pg_roles WHERE rolname = $(text "$secret/username")" | alone)
case "$roles" in
  *'"found"'*) ;;
  *) echo "CREATE ROLE $user LOGIN" | alone >/dev/null ;;
esac
{
  printf 'ALTER ROLE %s LOGIN PASSWORD ' "$user"
  text "$secret/password"
  printf '\n'
} | alone >/dev/null
databases=$(echo "SELECT 'found' FROM pg_database WHERE datname = $(text "$secret/database")" | alone)
case "$databases" in
  *'"found"'*) ;;
  *) echo "CREATE DATABASE $database OWNER $user" | alone >/dev/null ;;
esac

# A renewed certificate arrives as new files; PostgreSQL, process 1 from here on, reads them on SIGHUP.
(while sleep 3600; do kill -HUP 1 || exit 0; done) &

say "serving PostgreSQL $major on port 5432"
exec postgres -D "$PGDATA" -c config_file=/etc/image-registry/start/postgresql.conf
