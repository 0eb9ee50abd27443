-- Bookings with their states are decided in `marketplace`; the checks and triggers here are the second lock, for the
-- day that code is wrong.
create table feed (
    only_row integer primary key check (only_row = 0),
    appended integer not null, -- the cursor of the newest change
    changed  integer not null, -- when that was decided
    granted  integer not null  -- how many bookings were named
) strict;
insert into feed values (0, 0, -9223372036854775808, 0);

create table gpus (
    gpu   text primary key,
    fence integer not null, -- of the last grant
    price integer not null  -- the newest version of the base price
) strict, without rowid;

create table bookings (
    id       text primary key,
    gpu      text not null,
    holder   text not null,
    starts   integer not null,
    ends     integer not null check (starts < ends),
    state    text not null check (state in ('held', 'confirmed', 'done', 'cancelled', 'expired')),
    until    integer check ((until is null) = (state <> 'held')),
    price    integer not null, -- per hour, in millionths
    currency text not null,
    version  integer not null,
    cost     integer not null, -- in millionths
    created  integer not null,
    fence    integer not null,
    unique (gpu, fence)
) strict, without rowid;
create unique index standing on bookings (gpu, starts) where state in ('held', 'confirmed', 'done');
create index lapsing on bookings (until) where state = 'held';

-- Standing bookings of one GPU are disjoint, so at most the last that starts no later can reach into another. An upsert
-- fires both triggers, so a booking is not held against itself.
create trigger no_overlap_when_granted before insert on bookings
when new.state in ('held', 'confirmed', 'done')
begin
    select raise(abort, 'overlap') where exists (
        select 1 from bookings
        where gpu = new.gpu and state in ('held', 'confirmed', 'done') and starts < new.ends and ends > new.starts
            and id <> new.id
            and starts >= coalesce((select max(starts) from bookings where gpu = new.gpu and id <> new.id
                and state in ('held', 'confirmed', 'done') and starts <= new.starts), new.starts));
end;
create trigger no_overlap_when_moved before update of gpu, starts, ends, state on bookings
when new.state in ('held', 'confirmed', 'done')
begin
    select raise(abort, 'overlap') where exists (
        select 1 from bookings
        where gpu = new.gpu and state in ('held', 'confirmed', 'done') and starts < new.ends and ends > new.starts
            and id <> new.id
            and starts >= coalesce((select max(starts) from bookings where gpu = new.gpu and id <> new.id
                and state in ('held', 'confirmed', 'done') and starts <= new.starts), new.starts));
end;

create table keys (
    holder  text not null,
    key     text not null,
    hash    text not null,
    outcome text not null, -- JSON
    decided integer not null,
    primary key (holder, key)
) strict, without rowid;
create index keys_by_age on keys (decided);

create table changes (
    cursor  integer primary key,
    at      integer not null,
    change  text not null -- JSON: what was decided, and the booking right after it
) strict;
create index changes_by_age on changes (at);
