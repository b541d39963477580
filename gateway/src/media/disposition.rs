//! `Content-Disposition`, RFC 6266, with names as RFC 8187 writes them.

use std::fmt::Write as _;

/// Whether it may be shown, and under which name it is saved.
pub fn disposition(inline: bool, name: &str) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    let name: String = name.chars().map(harmless).collect();
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut text = format!("{kind}; filename=\"{plain}\"");
    if plain != name {
        text.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if is_attr_char(byte) {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

/// What leads out of a folder, or makes a name look like another, is not part of any.
fn harmless(c: char) -> char {
    match c {
        '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
        c if c.is_control() => '_',
        c => c,
    }
}

/// What every client reads between quotes as it stands there. Some resolve `%` escapes.
fn is_plain(c: char) -> bool {
    (' '..='~').contains(&c) && !matches!(c, '"' | '\\' | '%')
}

fn is_attr_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s52_a_name_is_said_in_both_forms() {
        assert_eq!(disposition(true, "a b.mp4"), "inline; filename=\"a b.mp4\"");
        assert_eq!(
            disposition(false, "été.mp4"),
            "attachment; filename=\"_t_.mp4\"; filename*=UTF-8''%C3%A9t%C3%A9.mp4"
        );
        assert_eq!(disposition(false, "5%20.txt"), "attachment; filename=\"5_20.txt\"; filename*=UTF-8''5%2520.txt");
    }

    #[test]
    fn s52_no_name_breaks_out_of_its_quotes_or_its_folder() {
        assert_eq!(
            disposition(false, "a\"; x=\"b"),
            "attachment; filename=\"a_; x=_b\"; filename*=UTF-8''a%22%3B%20x%3D%22b"
        );
        assert_eq!(disposition(false, "../../etc\\passwd"), "attachment; filename=\".._.._etc_passwd\"");
        assert_eq!(disposition(false, "a\r\nset-cookie: x"), "attachment; filename=\"a__set-cookie: x\"");
        assert_eq!(disposition(false, "invoice\u{202e}fdp.exe"), "attachment; filename=\"invoice_fdp.exe\"");
    }
}
