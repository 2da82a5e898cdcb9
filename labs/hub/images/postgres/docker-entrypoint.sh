#!/bin/sh
# The first start makes the database as POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB say (or files named by …_FILE), and
# runs /docker-entrypoint-initdb.d; later starts only start.
set -e
from_file() {
  eval "file=\${$1_FILE:-} value=\${$1:-}"
  if [ -n "$file" ]; then
    [ -z "$value" ] || { echo "error: both $1 and $1_FILE are set (but are exclusive)" >&2; exit 1; }
    export "$1=$(cat "$file")"
    unset "$1_FILE"
  fi
}
[ "${1#-}" = "$1" ] || set -- postgres "$@"
if [ "$1" = postgres ]; then
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres "$PGDATA"
    chmod 700 "$PGDATA"
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
  fi
  from_file POSTGRES_PASSWORD
  from_file POSTGRES_USER
  from_file POSTGRES_DB
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
      cat >&2 <<'WORDS'
Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".
WORDS
      exit 1
    fi
    user=${POSTGRES_USER:-postgres}
    passwords=$(mktemp)
    printf '%s\n' "${POSTGRES_PASSWORD:-}" >"$passwords"
    if [ -n "${POSTGRES_PASSWORD:-}" ]; then initdb --username="$user" --pwfile="$passwords" ${POSTGRES_INITDB_ARGS:-}
    else initdb --username="$user" ${POSTGRES_INITDB_ARGS:-}; fi
    rm "$passwords"
    printf 'host all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    database=${POSTGRES_DB:-$user}
    [ "$database" = postgres ] || PGPASSWORD=${POSTGRES_PASSWORD:-} createdb -U "$user" -h /var/run/postgresql "$database"
    for file in /docker-entrypoint-initdb.d/*; do
      case $file in
        *.sh) echo "$0: running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
        *.sql) echo "$0: running $file"; psql -v ON_ERROR_STOP=1 -U "$user" -d "$database" -f "$file" ;;
        *.sql.gz) echo "$0: running $file"; gunzip -c "$file" | psql -v ON_ERROR_STOP=1 -U "$user" -d "$database" ;;
      esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    echo 'PostgreSQL init process complete; ready for start up.'
  fi
  set -- "$@" -c "listen_addresses=*"
fi
exec "$@"
