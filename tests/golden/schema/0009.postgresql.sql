CREATE TABLE public.hokusai_alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.hokusai_artifacts (
    workspace character varying(63) NOT NULL,
    path character varying(1024) NOT NULL,
    size bigint NOT NULL,
    sha256 character(64) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    key_id character varying(32) NOT NULL,
    damaged character varying(128),
    staged character varying(32)
);
CREATE TABLE public.hokusai_audit (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    request_id character varying(32) NOT NULL,
    key_id character varying(32),
    user_id character varying(255),
    workspace character varying(63),
    address character varying(64) NOT NULL,
    method character varying(16) NOT NULL,
    path character varying(1024) NOT NULL,
    status integer NOT NULL,
    code character varying(8),
    permission character varying(64),
    seconds double precision NOT NULL,
    action character varying(64),
    subject_type character varying(16),
    subject character varying(512),
    within character varying(512),
    times integer DEFAULT 1 NOT NULL,
    bytes bigint,
    details text
);
CREATE TABLE public.hokusai_audit_begun (
    request_id character varying(32) NOT NULL,
    at timestamp with time zone NOT NULL,
    entry text NOT NULL
);
CREATE SEQUENCE public.hokusai_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hokusai_audit_id_seq OWNED BY public.hokusai_audit.id;
CREATE TABLE public.hokusai_installation (
    id integer NOT NULL,
    pepper_fingerprint character varying(64) NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.hokusai_keys (
    id character varying(32) NOT NULL,
    digest bytea NOT NULL,
    hint character varying(16) NOT NULL,
    name character varying(255) NOT NULL,
    workspace character varying(63),
    user_id character varying(255) NOT NULL,
    permissions text NOT NULL,
    service_id character varying(63) NOT NULL,
    environment character varying(8) NOT NULL,
    rate_limit_per_hour integer,
    allow_ips text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by character varying(32) NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    rotated_to character varying(32),
    further_permissions text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.hokusai_model_names (
    workspace character varying(63) NOT NULL,
    name character varying(256) NOT NULL,
    alike character(64) NOT NULL,
    claimed_at timestamp with time zone NOT NULL,
    creating integer NOT NULL,
    retired_at timestamp with time zone,
    retired_for character varying(256)
);
CREATE TABLE public.hokusai_models (
    workspace character varying(63) NOT NULL,
    name character varying(256) NOT NULL,
    claimed_at timestamp with time zone NOT NULL
);
CREATE TABLE public.hokusai_pending (
    workspace character varying(63) NOT NULL,
    id character varying(32) NOT NULL,
    bytes bigint NOT NULL,
    files bigint NOT NULL,
    until timestamp with time zone NOT NULL,
    names bigint DEFAULT '0'::bigint NOT NULL,
    path character varying(1024),
    sha256 character(64),
    created_at timestamp with time zone,
    key_id character varying(32)
);
CREATE TABLE public.hokusai_probe (
    filler text NOT NULL
);
CREATE TABLE public.hokusai_schema (
    id integer NOT NULL,
    oldest_code character varying(32) NOT NULL
);
CREATE TABLE public.hokusai_usage (
    key_id character varying(32) NOT NULL,
    hour timestamp with time zone NOT NULL,
    requests bigint NOT NULL,
    refused bigint NOT NULL
);
CREATE TABLE public.hokusai_use (
    workspace character varying(63) NOT NULL,
    bytes bigint NOT NULL,
    files bigint NOT NULL,
    models bigint NOT NULL,
    models_counted_at timestamp with time zone,
    tracking_bytes bigint DEFAULT '0'::bigint NOT NULL,
    names bigint DEFAULT '0'::bigint NOT NULL
);
CREATE TABLE public.hokusai_workspaces (
    name character varying(63) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    suspended_at timestamp with time zone,
    quota_bytes bigint,
    quota_files bigint,
    quota_models bigint,
    quota_requests_per_hour bigint,
    deleted_at timestamp with time zone,
    protected_aliases text DEFAULT ''::text NOT NULL
);
ALTER TABLE ONLY public.hokusai_audit ALTER COLUMN id SET DEFAULT nextval('public.hokusai_audit_id_seq'::regclass);
INSERT INTO public.hokusai_alembic_version VALUES ('0009');
INSERT INTO public.hokusai_artifacts VALUES ('acme', 'a/größe.bin', 1099511627776, 'abababababababababababababababababababababababababababababababab', '2026-01-02 03:04:05.000006+00', 'key_0000000000000001', NULL, NULL);
INSERT INTO public.hokusai_audit VALUES (1, '2026-01-02 03:04:05.000006+00', 'r', NULL, NULL, 'acme', '127.0.0.1', 'GET', '/', 200, NULL, NULL, 0.5, 'version.create', 'version', 'größe/1', 'größe', 1, 1099511627776, '{}');
INSERT INTO public.hokusai_installation VALUES (1, '91bf6d171f87d81e44d0fd546d6eb3d86d238527752a3b1fe215483ae19348a2', '2026-01-02 03:04:05.000006+00');
INSERT INTO public.hokusai_keys VALUES ('key_0000000000000001', '\x862f999cf13fced48047293a105c8a98a3810949e7d1273fded01b5c86e41f73', 'hk_live_0000', 'größe', 'acme', 'somebody', 'models:read models:write', 'platform', 'live', NULL, '', '2026-01-02 03:04:05.000006+00', 'key_0000000000000000', NULL, NULL, NULL, '');
INSERT INTO public.hokusai_model_names VALUES ('acme', 'churn', 'abababababababababababababababababababababababababababababababab', '2026-01-02 03:04:05.000006+00', 0, '2026-01-02 03:04:05.000006+00', 'churn 2');
INSERT INTO public.hokusai_models VALUES ('acme', 'churn', '2026-01-02 03:04:05.000006+00');
INSERT INTO public.hokusai_schema VALUES (1, '0003');
INSERT INTO public.hokusai_usage VALUES ('key_0000000000000001', '2026-01-02 03:04:05.000006+00', 1099511627776, 1);
INSERT INTO public.hokusai_use VALUES ('acme', 1099511627776, 1, 0, NULL, 0, 0);
INSERT INTO public.hokusai_workspaces VALUES ('acme', '2026-01-02 03:04:05.000006+00', NULL, 1125899906842624, NULL, NULL, NULL, NULL, '');
SELECT pg_catalog.setval('public.hokusai_audit_id_seq', 1, true);
ALTER TABLE ONLY public.hokusai_alembic_version
    ADD CONSTRAINT hokusai_alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.hokusai_artifacts
    ADD CONSTRAINT hokusai_artifacts_pkey PRIMARY KEY (workspace, path);
ALTER TABLE ONLY public.hokusai_audit_begun
    ADD CONSTRAINT hokusai_audit_begun_pkey PRIMARY KEY (request_id);
ALTER TABLE ONLY public.hokusai_audit
    ADD CONSTRAINT hokusai_audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hokusai_installation
    ADD CONSTRAINT hokusai_installation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hokusai_keys
    ADD CONSTRAINT hokusai_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hokusai_model_names
    ADD CONSTRAINT hokusai_model_names_pkey PRIMARY KEY (workspace, name);
ALTER TABLE ONLY public.hokusai_models
    ADD CONSTRAINT hokusai_models_pkey PRIMARY KEY (workspace, name);
ALTER TABLE ONLY public.hokusai_pending
    ADD CONSTRAINT hokusai_pending_pkey PRIMARY KEY (workspace, id);
ALTER TABLE ONLY public.hokusai_schema
    ADD CONSTRAINT hokusai_schema_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hokusai_usage
    ADD CONSTRAINT hokusai_usage_pkey PRIMARY KEY (key_id, hour);
ALTER TABLE ONLY public.hokusai_use
    ADD CONSTRAINT hokusai_use_pkey PRIMARY KEY (workspace);
ALTER TABLE ONLY public.hokusai_workspaces
    ADD CONSTRAINT hokusai_workspaces_pkey PRIMARY KEY (name);
CREATE INDEX hokusai_artifacts_damaged ON public.hokusai_artifacts USING btree (workspace) WHERE (damaged IS NOT NULL);
CREATE INDEX ix_hokusai_audit_action_at ON public.hokusai_audit USING btree (action, at);
CREATE INDEX ix_hokusai_audit_at ON public.hokusai_audit USING btree (at);
CREATE INDEX ix_hokusai_audit_key_id_at ON public.hokusai_audit USING btree (key_id, at);
CREATE INDEX ix_hokusai_audit_request_id ON public.hokusai_audit USING btree (request_id);
CREATE INDEX ix_hokusai_audit_subject_at ON public.hokusai_audit USING btree (subject, at);
CREATE INDEX ix_hokusai_audit_user_id_at ON public.hokusai_audit USING btree (user_id, at);
CREATE INDEX ix_hokusai_audit_within_at ON public.hokusai_audit USING btree (within, at) WHERE (within IS NOT NULL);
CREATE INDEX ix_hokusai_audit_workspace_action_at ON public.hokusai_audit USING btree (workspace, action, at);
CREATE INDEX ix_hokusai_audit_workspace_at ON public.hokusai_audit USING btree (workspace, at);
CREATE INDEX ix_hokusai_audit_workspace_subject_at ON public.hokusai_audit USING btree (workspace, subject, at);
CREATE INDEX ix_hokusai_audit_workspace_within_at ON public.hokusai_audit USING btree (workspace, within, at) WHERE (within IS NOT NULL);
CREATE INDEX ix_hokusai_keys_created_by ON public.hokusai_keys USING btree (created_by);
CREATE UNIQUE INDEX ix_hokusai_keys_digest ON public.hokusai_keys USING btree (digest);
CREATE INDEX ix_hokusai_keys_workspace_created_at ON public.hokusai_keys USING btree (workspace, created_at, id);
CREATE INDEX ix_hokusai_model_names_alike ON public.hokusai_model_names USING btree (workspace, alike);
ALTER TABLE ONLY public.hokusai_keys
    ADD CONSTRAINT hokusai_keys_workspace_fkey FOREIGN KEY (workspace) REFERENCES public.hokusai_workspaces(name);
