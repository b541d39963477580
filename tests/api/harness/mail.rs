//! What stands in a mail.

use quartet_proto::control::v1::Mail;

/// The token of the link in a mail.
pub fn token(mail: &Mail) -> String {
    let rest = mail.text.split("token=").nth(1).unwrap_or_else(|| panic!("no link with a token in: {}", mail.text));
    rest.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next().unwrap().to_owned()
}

/// The code in a mail: the only word of six to twelve digits.
pub fn code(mail: &Mail) -> String {
    let mut words = mail.text.split(|c: char| c.is_whitespace() || ".,:;".contains(c));
    let code = words.find(|word| (6..=12).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit()));
    code.unwrap_or_else(|| panic!("no code in: {}", mail.text)).to_owned()
}
