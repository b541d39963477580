drop index quiz_attempt_course;
drop index submission_course;
create index submission_course on submission (course_id, student_id);
drop index assessment_course;
create index assessment_course on assessment (course_id, student_id);
drop index assessment_student;
create index assessment_student on assessment (block_id, student_id, id);
alter table assessment drop column number;
