-- Of whom an erasure removes everything, until that is done; who waits to be told is not named any more.
alter table erasure add column account_id blob;

-- Accounts that were deleted within the last day, by tags that tell nobody who they were: nothing of theirs is written any more.
create table account_gone (
    tag blob not null primary key,
    create_time timestamp not null
);
create index account_gone_create_time on account_gone (create_time);

-- Courses that are deleted, and what is in them bit by bit.
create index course_deleted on course (id) where state = 'DELETED';
create index course_request_course on course_request (course_id);
create index enrolment_override_teacher on enrolment (override_teacher_id) where override_teacher_id is not null;

-- Of an invitation of an address: the account that had it and has another one now.
alter table invitation add column follows_id blob;
create index invitation_follows on invitation (follows_id) where follows_id is not null;
