//! A folder of mails, one file each, named so that the oldest comes first.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::Mail;

/// The header that names the recipient as it is, whatever its letters are encoded to in `To`.
const RECIPIENT: &str = "X-Original-To";

pub(super) fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a mail's file. It appears whole and durable or not at all; the same mail again replaces itself.
pub(super) fn write(folder: &Path, mail: &Mail, formatted: &[u8]) -> io::Result<()> {
    let name: String = mail.message_id.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let path = folder.join(format!("{name}.eml"));
    let draft = folder.join(format!(".{name}.part"));
    let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(format!("{RECIPIENT}: {}\r\n", mail.to).as_bytes())?;
    file.write_all(formatted)?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    File::open(folder)?.sync_all()
}

/// The mails in a folder to an address (to all for the empty one), the oldest first. A folder that is not there has none.
pub fn mails(folder: &Path, to: &str) -> io::Result<Vec<Mail>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    let mut mails = Vec::new();
    for path in paths {
        let text = match fs::read_to_string(&path) {
            // Its recipient's account was deleted a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text?,
        };
        let mail = parse(&text);
        let mail = mail.ok_or_else(|| io::Error::other(format!("{} is not a mail of ours", path.display())))?;
        if to.is_empty() || mail.to.to_lowercase() == to.to_lowercase() {
            mails.push(mail);
        }
    }
    Ok(mails)
}

/// Removes the mails to an address, also those that a process has died over; how many there were.
pub(super) fn forget(folder: &Path, to: &str) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let path = entry?.path();
        let is_ours = path.extension().is_some_and(|extension| extension == "eml" || extension == "part");
        if !is_ours || !is_to(&path, to)? {
            continue;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            gone => gone.map(|()| removed += 1)?,
        }
    }
    File::open(folder)?.sync_all()?;
    Ok(removed)
}

/// Whether a mail or the draft of one goes to an address.
fn is_to(path: &Path, to: &str) -> io::Result<bool> {
    let file = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let recipient = String::from_utf8_lossy(&file);
    let recipient = header(&recipient, RECIPIENT).unwrap_or_default().to_lowercase();
    Ok(recipient == to.to_lowercase())
}

/// Reads what `write` wrote: two parts, each as it stands.
fn parse(file: &str) -> Option<Mail> {
    let file = file.replace("\r\n", "\n");
    let (headers, body) = file.split_once("\n\n")?;
    let (_, boundary) = headers.split_once("boundary=\"")?;
    let (boundary, _) = boundary.split_once('"')?;
    let boundary = format!("--{boundary}");
    let mut parts = body.split(boundary.as_str()).skip(1).filter_map(|part| part.split_once("\n\n"));
    let mut part = || parts.next().map(|(_, text)| text.strip_suffix('\n').unwrap_or(text).to_owned());
    Some(Mail {
        to: header(headers, RECIPIENT)?.to_owned(),
        subject: header(headers, "Subject")?.to_owned(),
        text: part()?,
        html: part()?,
        message_id: header(headers, "Message-ID")?.trim_matches(['<', '>']).to_owned(),
    })
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    headers.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
