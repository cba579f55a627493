# What the lines of README.md share when they are tried on one machine: a folder, ports, passwords, and two words. Source it in
# the root of the checkout; it starts nothing by itself.

: "${TRY:=/tmp/amends-try}"          # logs, stores, passwords
: "${TRY_PORT:=14200}"               # everything listens on loopback, on ports from here on
: "${PG:=postgresql:///postgres?host=/run/postgresql}"   # a PostgreSQL server, as somebody who may make users and databases
: "${PG_HOST:=127.0.0.1:5432}"       # the same server as the services reach it
export TRY TRY_PORT PG PG_HOST
mkdir -p "$TRY"

# Made once; never in the repository.
if [ ! -s "$TRY/passwords" ]; then
  for name in NATS_ROUTE NATS_ORCHESTRATOR NATS_INVENTORY NATS_PAYMENT NATS_NOTIFICATION NATS_OPERATOR NATS_SHOP NATS_SYSTEM \
              DB_ORCHESTRATOR DB_INVENTORY DB_PAYMENT DB_NOTIFICATION; do
    echo "export ${name}_PASSWORD=pw$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
  done > "$TRY/passwords"
fi
. "$TRY/passwords"

# broker N: the N-th of three nats-servers, in the foreground.
broker() {
  at=127.0.0.1
  export NATS_NAME="n$1" NATS_STORE="\"$TRY/n$1\"" NATS_LISTEN="$at:$((TRY_PORT + $1))"
  export NATS_CLUSTER_LISTEN="$at:$((TRY_PORT + 10 + $1))" NATS_MONITOR="$at:$((TRY_PORT + 20 + $1))"
  for n in 1 2 3; do
    export "NATS_ROUTE_$n=nats://route:$NATS_ROUTE_PASSWORD@$at:$((TRY_PORT + 10 + n))"
  done
  exec nats-server -P "$TRY/n$1.pid" -c deploy/production/nats/server.conf >> "$TRY/n$1.log" 2>&1
}

# as ROLE COMMAND..: with the broker user and the database of this role, as its EnvironmentFile would have it.
as() {
  ROLE=$(printf %s "$1" | tr a-z A-Z) user=$1
  shift
  (
    eval "nats_password=\$NATS_${ROLE}_PASSWORD db_password=\${DB_${ROLE}_PASSWORD:-}"
    export AMENDS_CONFIG=deploy/production/amends.toml AMENDS_LOG__FORMAT=text
    export AMENDS_NATS__URL="nats://127.0.0.1:$((TRY_PORT + 1)),nats://127.0.0.1:$((TRY_PORT + 2)),nats://127.0.0.1:$((TRY_PORT + 3))"
    export AMENDS_NATS__AUTH__USER="$user" AMENDS_NATS__AUTH__PASSWORD="$nats_password"
    export AMENDS_ORCHESTRATOR__DEFINITIONS=saga-definitions
    if [ -n "$db_password" ]; then
      export "AMENDS_${ROLE}__DATABASE__URL=postgres://amends_$user:$db_password@$PG_HOST/amends_$user"
    fi
    exec "$@"
  )
}
