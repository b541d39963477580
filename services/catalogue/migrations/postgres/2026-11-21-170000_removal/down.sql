drop index invitation_follows;
alter table invitation drop column follows_id;
drop index enrolment_override_teacher;
drop index course_request_course;
drop index course_deleted;
drop table account_gone;
delete from erasure where account_id is not null;
alter table erasure drop column account_id;
