create database identity;
create database catalogue;
