drop table erasure;
drop table account_cursor;
drop table account;
