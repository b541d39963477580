create database identity;
create database catalogue;
create database media;
create database messaging;
