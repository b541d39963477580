create table course (
    id bytea not null primary key,
    owner_id bytea not null,
    title text not null,
    title_key text collate "C" not null,
    description text not null,
    state text not null,
    enrolment_policy text not null,
    enrolment_code text not null,
    version bigint not null,
    create_time timestamp not null,
    update_time timestamp not null
);
create index course_owner on course (owner_id, id);
create index course_published on course (id) where state = 'PUBLISHED';

-- What was asked for with a key, for a day.
create table course_request (
    account_id bytea not null,
    idempotency_key text not null,
    body_hash bytea not null,
    course_id bytea not null,
    create_time timestamp not null,
    primary key (account_id, idempotency_key)
);
create index course_request_create_time on course_request (create_time);

create table course_teacher (
    course_id bytea not null references course (id) on delete cascade,
    account_id bytea not null,
    create_time timestamp not null,
    primary key (course_id, account_id)
);
create index course_teacher_account on course_teacher (account_id, course_id);

create table section (
    id bytea not null primary key,
    course_id bytea not null references course (id) on delete cascade,
    position integer not null,
    title text not null,
    description text not null,
    state text not null,
    version bigint not null,
    create_time timestamp not null,
    update_time timestamp not null
);
create index section_course on section (course_id, position);

create table content_block (
    id bytea not null primary key,
    course_id bytea not null references course (id) on delete cascade,
    section_id bytea not null references section (id) on delete cascade,
    position integer not null,
    type text not null,
    title text not null,
    description text not null,
    content text not null,
    url text not null,
    media_id text not null,
    -- A JSON object with the answers; empty where there is no quiz.
    quiz text not null,
    state text not null,
    version bigint not null,
    create_time timestamp not null,
    update_time timestamp not null
);
create index content_block_section on content_block (section_id, position);
create index content_block_course on content_block (course_id);

create table enrolment (
    course_id bytea not null references course (id) on delete cascade,
    student_id bytea not null,
    -- Whether the student takes it now; who has left keeps their work.
    active boolean not null,
    -- Their name as the class list orders it.
    name_key text collate "C" not null,
    create_time timestamp not null,
    override_completed boolean,
    override_reason text not null,
    override_teacher_id bytea,
    override_time timestamp,
    primary key (course_id, student_id)
);
create index enrolment_student on enrolment (student_id, course_id);
create index enrolment_class on enrolment (course_id, name_key, student_id) where active;

-- Of an account or of an address, never of both.
create table invitation (
    id bytea not null primary key,
    course_id bytea not null references course (id) on delete cascade,
    account_id bytea,
    email_key text collate "C",
    email text not null,
    create_time timestamp not null,
    unique (course_id, account_id),
    unique (course_id, email_key)
);
create index invitation_course on invitation (course_id, id);
create index invitation_account on invitation (account_id);
create index invitation_email on invitation (email_key);

create table submission (
    block_id bytea not null references content_block (id) on delete cascade,
    student_id bytea not null,
    course_id bytea not null,
    url text not null,
    remarks text not null,
    completed boolean not null,
    complete_time timestamp,
    primary key (block_id, student_id)
);
create index submission_student on submission (student_id, course_id);
create index submission_course on submission (course_id, student_id);

create table quiz_attempt (
    id bytea not null primary key,
    block_id bytea not null references content_block (id) on delete cascade,
    student_id bytea not null,
    course_id bytea not null,
    number integer not null,
    idempotency_key text,
    answers text not null,
    correct text not null,
    points integer not null,
    max_points integer not null,
    passed boolean not null,
    create_time timestamp not null,
    unique (block_id, student_id, number)
);
create unique index quiz_attempt_key on quiz_attempt (block_id, student_id, idempotency_key);
create index quiz_attempt_student on quiz_attempt (student_id, course_id);

create table assessment (
    id bytea not null primary key,
    block_id bytea not null references content_block (id) on delete cascade,
    student_id bytea not null,
    course_id bytea not null,
    -- None when the teacher's account is gone.
    teacher_id bytea,
    grade integer,
    feedback text not null,
    create_time timestamp not null
);
create index assessment_student on assessment (block_id, student_id, id);
create index assessment_course on assessment (course_id, student_id);
create index assessment_teacher on assessment (teacher_id);
create index assessment_owner on assessment (student_id);
