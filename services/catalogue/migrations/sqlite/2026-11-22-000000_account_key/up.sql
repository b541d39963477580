-- The address as it is compared.
alter table account add column email_key text not null default '';
create index account_email_key on account (email_key);
-- The feed is read anew: until then nobody is found by an address.
update account_cursor set number = 0 where name = 'account';
