-- Bookings with their states are decided in `marketplace`; the checks and the exclusion here are the second lock, for the
-- day that code is wrong.
create extension if not exists btree_gist;

create table gpus (
    gpu     text collate "C" primary key,
    fence   bigint not null, -- of the last grant
    price   bigint not null, -- the newest version of the base price
    decided bigint not null  -- when a decision last changed its bookings
);

create sequence booking_numbers;

create table bookings (
    id       text collate "C" primary key,
    gpu      text collate "C" not null references gpus,
    holder   text not null,
    starts   bigint not null,
    ends     bigint not null,
    state    text not null check (state in ('held', 'confirmed', 'done', 'cancelled', 'expired')),
    until    bigint check ((until is null) = (state <> 'held')),
    price    bigint not null, -- per hour, in millionths
    currency text not null,
    version  bigint not null,
    cost     bigint not null, -- in millionths
    created  bigint not null,
    fence    bigint not null,
    check (starts < ends),
    unique (gpu, fence),
    constraint no_overlap exclude using gist (gpu with =, int8range(starts, ends) with &&)
        where (state in ('held', 'confirmed', 'done'))
);
create index standing on bookings (gpu, starts) where state in ('held', 'confirmed', 'done');
create index lapsing on bookings (until) where state = 'held';

create table keys (
    holder  text collate "C" not null,
    key     text collate "C" not null,
    hash    text not null,
    outcome text, -- JSON; null only inside the transaction that decides
    decided bigint not null,
    primary key (holder, key)
);
create index keys_by_age on keys (decided);

-- The outbox. `seq` is drawn while the GPU is locked, so it orders the changes of one GPU as they were decided; `cursor`
-- is given to committed rows only, so that cursors are dense and a reader never passes by one that commits later.
create table changes (
    seq    bigint generated always as identity primary key,
    cursor bigint unique,
    at     bigint not null,
    change text not null -- JSON: what was decided, and the booking right after it
);
create index changes_without_cursor on changes (seq) where cursor is null;
create index changes_by_age on changes (at);

create table feed (
    only_row boolean primary key check (only_row),
    appended bigint not null, -- the cursor of the newest change that has one
    dropped  bigint not null  -- the cursor of the newest change that was forgotten
);
insert into feed values (true, 0, 0);
