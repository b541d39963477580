alter table account add column email_verified boolean not null default false;
-- The feed is read anew: until then nobody counts as the owner of an address.
update account_cursor set number = 0 where name = 'account';
