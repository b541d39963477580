//! Compiles the contracts with protox: no protoc on the machine.

#![expect(clippy::disallowed_methods, reason = "cargo speaks to a build script by its environment")]

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut files = Vec::new();
    collect(&root.join("quartet"), &mut files)?;
    files.sort();
    println!("cargo::rerun-if-changed=quartet");

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Encoded by the compiler itself: the typed set would lose the access options, which prost does not know.
    fs::write(out.join("quartet.descriptors"), compiler.encode_file_descriptor_set())?;
    // Without transport: `connect` would stand beside the rpc Connect.
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".quartet.catalogue.v1")
        .bytes(".quartet.media.v1")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

fn collect(folder: &PathBuf, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
