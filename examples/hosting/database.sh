# Run once, by the image of PostgreSQL, when there is no database yet. The servers' role is no superuser, so that
# row-level security binds it.
psql --set=ON_ERROR_STOP=1 --set=password="$OMI_DATABASE_PASSWORD" --username="$POSTGRES_USER" <<'SQL'
create role omi login password :'password';
create database omi owner omi;
SQL
