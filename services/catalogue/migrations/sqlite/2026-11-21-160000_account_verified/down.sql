alter table account drop column email_verified;
