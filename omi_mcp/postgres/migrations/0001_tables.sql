-- Who signed in, what they connected, and what hosts hold of it. Times are seconds since 1970. By these tables the
-- account of a request is found, so that no account is known yet when they are asked: they have no row-level security.

create table hosts (
    id text primary key,
    secret bytea,
    made double precision not null,
    signed_in double precision,
    metadata text not null
);
create index host_unused on hosts (made, id) where signed_in is null;
create index host_signed_in on hosts (signed_in);

create table accounts (
    id text primary key,
    mark bytea not null unique,
    base_url text not null,
    key text not null,
    timezone text not null,
    made double precision not null,
    used double precision not null,
    refused double precision
);

create table grants (
    id text primary key,
    account text not null references accounts (id) on delete cascade,
    host text not null,
    name text not null,
    place text not null,
    scopes text not null,
    resource text not null,
    made double precision not null,
    used double precision
);
create index grant_account on grants (account);
create index grant_host on grants (host);
create index grant_unfetched on grants (made) where used is null;

create table codes (
    hash bytea primary key,
    grant_id text not null references grants (id) on delete cascade,
    challenge text not null,
    redirect_uri text not null,
    explicit boolean not null,
    expires double precision not null,
    spent double precision
);
create index code_grant on codes (grant_id);

create table tokens (
    hash bytea primary key,
    grant_id text not null references grants (id) on delete cascade,
    refreshes boolean not null,
    allows text not null,
    expires double precision not null,
    replaced double precision
);
create index token_grant on tokens (grant_id);
create index refresh_expires on tokens (expires) where refreshes;

create table attempts (
    name text primary key,
    began double precision not null,
    number integer not null
);

-- How many transactions that wrote each connection of each server has ended: where one is lost in a commit, this tells
-- what became of it.

create table connections (
    id uuid primary key,
    commits bigint not null,
    used timestamptz not null default now()
);

-- What is kept of each account. Its row in `libraries` is what writers of the account lock; `change` is the number of
-- its last change, of the history that `epoch` names. `due` is when its copying goes on; null: when somebody asks for it.

create table libraries (
    account text primary key references accounts (id) on delete cascade,
    epoch uuid not null default gen_random_uuid(),
    change bigint not null default 0,
    used timestamptz not null default now(),
    due timestamptz
);
create index library_due on libraries (due, used) where due is not null;

-- Every row of an account's files, with the number of the change that wrote it last; null as its body: deleted. `text` is
-- what is long and changes seldom, with the number of its own last change.

create table documents (
    account text not null references libraries (account) on delete cascade,
    kind text not null,
    id text not null,
    change bigint not null,
    body text,
    text text,
    text_change bigint not null default 0,
    primary key (account, kind, id)
) partition by hash (account);
create index document_change on documents (account, change);
create index document_newest on documents (body) where kind = 'newest';

do $$
begin
    for part in 0..15 loop
        execute format('create table documents_%s partition of documents for values with (modulus 16, remainder %s)',
            to_char(part, 'fm00'), part);
    end loop;
end
$$;

-- Who does what alone, until when.

create table leases (
    account text not null references libraries (account) on delete cascade,
    name text not null,
    owner text not null,
    ends timestamptz not null,
    primary key (account, name)
);

-- What `omi-mcp move` has brought of an account: from which folder, with which change it ended, and a digest of its rows
-- of signing in. Where these are others by now, somebody else has written. It stays when the account is forgotten, so that
-- nothing brings it back.

create table moves (
    account text primary key,
    source text not null,
    change bigint not null,
    signed_in bytea not null
);

-- The second wall behind `account = $1` in every statement: a transaction sees the rows of the account it names in
-- `omi_mcp.account`, and none where it names none. That of the queue names '*', and sees who is due and who is at it, and
-- of the documents one digest each. `force`: the owner of the tables is no exception.

alter table libraries enable row level security, force row level security;
alter table documents enable row level security, force row level security;
alter table leases enable row level security, force row level security;
alter table moves enable row level security, force row level security;

create policy own on libraries using (account = current_setting('omi_mcp.account', true));
create policy own on documents using (account = current_setting('omi_mcp.account', true));
create policy own on leases using (account = current_setting('omi_mcp.account', true));
create policy own on moves using (account = current_setting('omi_mcp.account', true));
create policy queue on libraries using (current_setting('omi_mcp.account', true) = '*');
create policy queue on leases using (current_setting('omi_mcp.account', true) = '*');
-- A digest of the newest conversations, by which it is told whose a key is.
create policy newest on documents for select using (kind = 'newest' and current_setting('omi_mcp.account', true) = '*');

-- Without a policy of its own nothing is seen in a part that is asked directly, beside its table.

do $$
begin
    for part in 0..15 loop
        execute format('alter table documents_%s enable row level security, force row level security',
            to_char(part, 'fm00'));
    end loop;
end
$$;
