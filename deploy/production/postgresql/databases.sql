-- A user and a database for each service. Passwords come from outside:
--   psql -v orchestrator="$ORCHESTRATOR_DB_PASSWORD" -v inventory=.. -v payment=.. -v notification=.. -f databases.sql
\set ON_ERROR_STOP 1
CREATE ROLE amends_orchestrator LOGIN PASSWORD :'orchestrator';
CREATE ROLE amends_inventory LOGIN PASSWORD :'inventory';
CREATE ROLE amends_payment LOGIN PASSWORD :'payment';
CREATE ROLE amends_notification LOGIN PASSWORD :'notification';
CREATE DATABASE amends_orchestrator OWNER amends_orchestrator ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE amends_inventory OWNER amends_inventory ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE amends_payment OWNER amends_payment ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE amends_notification OWNER amends_notification ENCODING 'UTF8' TEMPLATE template0;
-- Nobody looks into anybody else's.
REVOKE CONNECT ON DATABASE amends_orchestrator, amends_inventory, amends_payment, amends_notification FROM PUBLIC;
