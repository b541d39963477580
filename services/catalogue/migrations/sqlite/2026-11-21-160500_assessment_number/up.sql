-- Which of a student's grades in a block is the newest is said by its number, which is allotted under the lock of the enrolment, and by no
-- clock.
alter table assessment add column number integer not null default 0;
update assessment set number = (
    select count(*) from assessment as earlier
    where earlier.block_id = assessment.block_id
        and earlier.student_id = assessment.student_id
        and earlier.id <= assessment.id
);
drop index assessment_student;
create index assessment_student on assessment (block_id, student_id, number);

-- All that a gradebook reads of what was done is in these.
drop index assessment_course;
create index assessment_course on assessment (course_id, student_id, block_id, number, grade);
drop index submission_course;
create index submission_course on submission (course_id, student_id, block_id, completed, complete_time);
create index quiz_attempt_course on quiz_attempt
    (course_id, student_id, block_id, points, max_points, passed, create_time);
