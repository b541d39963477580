drop table outbox;
drop table lease;
drop table signing_key;
drop table revocation;
drop table session;
drop table challenge;
drop table account_role;
drop table account;
