//! Quartet's tests: `api/` is one binary that speaks to a real installation with real clients, `foreign/` holds the scripts of
//! clients in other languages, `run` is the command that makes the world for all of it.
