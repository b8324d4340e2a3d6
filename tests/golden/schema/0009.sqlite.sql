BEGIN TRANSACTION;
CREATE TABLE hokusai_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT hokusai_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "hokusai_alembic_version" VALUES('0009');
CREATE TABLE hokusai_artifacts (
	workspace VARCHAR(63) NOT NULL, 
	path VARCHAR(1024) NOT NULL, 
	size BIGINT NOT NULL, 
	sha256 CHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	key_id VARCHAR(32) NOT NULL, damaged VARCHAR(128), staged VARCHAR(32), 
	PRIMARY KEY (workspace, path)
);
INSERT INTO "hokusai_artifacts" VALUES('acme','a/größe.bin',1099511627776,'abababababababababababababababababababababababababababababababab','2026-01-02 03:04:05.000006','key_0000000000000001',NULL,NULL);
CREATE TABLE hokusai_audit (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	request_id VARCHAR(32) NOT NULL, 
	key_id VARCHAR(32), 
	user_id VARCHAR(255), 
	workspace VARCHAR(63), 
	address VARCHAR(64) NOT NULL, 
	method VARCHAR(16) NOT NULL, 
	path VARCHAR(1024) NOT NULL, 
	status INTEGER NOT NULL, 
	code VARCHAR(8), 
	permission VARCHAR(64), 
	seconds FLOAT NOT NULL, action VARCHAR(64), subject_type VARCHAR(16), subject VARCHAR(512), within VARCHAR(512), times INTEGER DEFAULT 1 NOT NULL, bytes BIGINT, details TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "hokusai_audit" VALUES(1,'2026-01-02 03:04:05.000006','r',NULL,NULL,'acme','127.0.0.1','GET','/',200,NULL,NULL,0.5,'version.create','version','größe/1','größe',1,1099511627776,'{}');
CREATE TABLE hokusai_audit_begun (
	request_id VARCHAR(32) NOT NULL, 
	at DATETIME NOT NULL, 
	entry TEXT NOT NULL, 
	PRIMARY KEY (request_id)
);
CREATE TABLE hokusai_installation (
	id INTEGER NOT NULL, 
	pepper_fingerprint VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "hokusai_installation" VALUES(1,'91bf6d171f87d81e44d0fd546d6eb3d86d238527752a3b1fe215483ae19348a2','2026-01-02 03:04:05.000006');
CREATE TABLE hokusai_keys (
	id VARCHAR(32) NOT NULL, 
	digest BLOB NOT NULL, 
	hint VARCHAR(16) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	workspace VARCHAR(63), 
	user_id VARCHAR(255) NOT NULL, 
	permissions TEXT NOT NULL, 
	service_id VARCHAR(63) NOT NULL, 
	environment VARCHAR(8) NOT NULL, 
	rate_limit_per_hour INTEGER, 
	allow_ips TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by VARCHAR(32) NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	rotated_to VARCHAR(32), further_permissions TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(workspace) REFERENCES hokusai_workspaces (name)
);
INSERT INTO "hokusai_keys" VALUES('key_0000000000000001',X'862F999CF13FCED48047293A105C8A98A3810949E7D1273FDED01B5C86E41F73','hk_live_0000','größe','acme','somebody','models:read models:write','platform','live',NULL,'','2026-01-02 03:04:05.000006','key_0000000000000000',NULL,NULL,NULL,'');
CREATE TABLE hokusai_model_names (
	workspace VARCHAR(63) NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	alike CHAR(64) NOT NULL, 
	claimed_at DATETIME NOT NULL, 
	creating INTEGER NOT NULL, 
	retired_at DATETIME, 
	retired_for VARCHAR(256), 
	PRIMARY KEY (workspace, name)
);
INSERT INTO "hokusai_model_names" VALUES('acme','churn','abababababababababababababababababababababababababababababababab','2026-01-02 03:04:05.000006',0,'2026-01-02 03:04:05.000006','churn 2');
CREATE TABLE hokusai_models (
	workspace VARCHAR(63) NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	claimed_at DATETIME NOT NULL, 
	PRIMARY KEY (workspace, name)
);
INSERT INTO "hokusai_models" VALUES('acme','churn','2026-01-02 03:04:05.000006');
CREATE TABLE hokusai_pending (
	workspace VARCHAR(63) NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	bytes BIGINT NOT NULL, 
	files BIGINT NOT NULL, 
	until DATETIME NOT NULL, names BIGINT DEFAULT '0' NOT NULL, path VARCHAR(1024), sha256 CHAR(64), created_at DATETIME, key_id VARCHAR(32), 
	PRIMARY KEY (workspace, id)
);
CREATE TABLE hokusai_probe (
	filler TEXT NOT NULL
);
CREATE TABLE hokusai_schema (
	id INTEGER NOT NULL, 
	oldest_code VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "hokusai_schema" VALUES(1,'0003');
CREATE TABLE hokusai_usage (
	key_id VARCHAR(32) NOT NULL, 
	hour DATETIME NOT NULL, 
	requests BIGINT NOT NULL, 
	refused BIGINT NOT NULL, 
	PRIMARY KEY (key_id, hour)
);
INSERT INTO "hokusai_usage" VALUES('key_0000000000000001','2026-01-02 03:04:05.000006',1099511627776,1);
CREATE TABLE hokusai_use (
	workspace VARCHAR(63) NOT NULL, 
	bytes BIGINT NOT NULL, 
	files BIGINT NOT NULL, 
	models BIGINT NOT NULL, 
	models_counted_at DATETIME, tracking_bytes BIGINT DEFAULT '0' NOT NULL, names BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (workspace)
);
INSERT INTO "hokusai_use" VALUES('acme',1099511627776,1,0,NULL,0,0);
CREATE TABLE hokusai_workspaces (
	name VARCHAR(63) NOT NULL, 
	created_at DATETIME NOT NULL, 
	suspended_at DATETIME, quota_bytes BIGINT, quota_files BIGINT, quota_models BIGINT, quota_requests_per_hour BIGINT, deleted_at DATETIME, protected_aliases TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "hokusai_workspaces" VALUES('acme','2026-01-02 03:04:05.000006',NULL,1125899906842624,NULL,NULL,NULL,NULL,'');
CREATE UNIQUE INDEX ix_hokusai_keys_digest ON hokusai_keys (digest);
CREATE INDEX ix_hokusai_keys_workspace_created_at ON hokusai_keys (workspace, created_at, id);
CREATE INDEX ix_hokusai_audit_workspace_at ON hokusai_audit (workspace, at);
CREATE INDEX ix_hokusai_audit_at ON hokusai_audit (at);
CREATE INDEX ix_hokusai_audit_workspace_action_at ON hokusai_audit (workspace, action, at);
CREATE INDEX ix_hokusai_audit_key_id_at ON hokusai_audit (key_id, at);
CREATE INDEX ix_hokusai_audit_user_id_at ON hokusai_audit (user_id, at);
CREATE INDEX ix_hokusai_audit_subject_at ON hokusai_audit (subject, at);
CREATE INDEX ix_hokusai_audit_workspace_subject_at ON hokusai_audit (workspace, subject, at);
CREATE INDEX ix_hokusai_audit_within_at ON hokusai_audit (within, at) WHERE within IS NOT NULL;
CREATE INDEX ix_hokusai_audit_workspace_within_at ON hokusai_audit (workspace, within, at) WHERE within IS NOT NULL;
CREATE INDEX ix_hokusai_audit_action_at ON hokusai_audit (action, at);
CREATE INDEX ix_hokusai_audit_request_id ON hokusai_audit (request_id);
CREATE INDEX ix_hokusai_keys_created_by ON hokusai_keys (created_by);
CREATE INDEX ix_hokusai_model_names_alike ON hokusai_model_names (workspace, alike);
CREATE INDEX hokusai_artifacts_damaged ON hokusai_artifacts (workspace) WHERE damaged IS NOT NULL;
COMMIT;
