drop index account_email_key;
alter table account drop column email_key;
