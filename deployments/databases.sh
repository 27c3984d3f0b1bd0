#!/bin/sh
# Makes a role and a database for each service. PostgreSQL's image runs it once, on an empty volume.
# Passwords come from the environment, so that no process list shows them.
set -eu
for service in prefect mlflow; do
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set service="$service" \
    --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:-$POSTGRES_USER}" <<SQL
\getenv password $(echo "$service" | tr '[:lower:]' '[:upper:]')_DB_PASSWORD
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
