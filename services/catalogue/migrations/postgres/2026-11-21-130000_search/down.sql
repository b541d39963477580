drop table movie_search;
alter table country drop column old_name;
alter table language drop column old_name;
alter table actor drop column old_name;
alter table genre drop column old_name;
drop table movie_gone;
alter table movie_state drop column search_version;
alter table movie_state drop column forgotten;
alter table movie drop column change_number;
