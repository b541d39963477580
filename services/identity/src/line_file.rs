//! A file of lines that comes in pieces: bytes in, lines with their numbers out, in bounded memory.

/// The reader of a file.
pub struct LineFile {
    /// The longest line, in bytes.
    longest: usize,
    /// What was read of the line that is being read, unless it is too long.
    line: Vec<u8>,
    too_long: bool,
    number: i32,
}

impl LineFile {
    pub fn new(longest: usize) -> LineFile {
        LineFile { longest, line: Vec::new(), too_long: false, number: 1 }
    }

    /// Takes the next bytes of the file and hands on every line that they complete: its number, and its bytes or `None` when it is
    /// too long. Empty lines are counted only.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(i32, Option<&[u8]>)) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        self.append(parts.next().unwrap_or_default());
        for part in parts {
            self.end(&mut each);
            self.append(part);
        }
    }

    /// Hands on the last line, when no line end stands behind it.
    pub fn finish(&mut self, mut each: impl FnMut(i32, Option<&[u8]>)) {
        self.end(&mut each);
    }

    fn append(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > self.longest {
            self.line.clear();
            self.too_long = true;
        } else if !self.too_long {
            self.line.extend_from_slice(part);
        }
    }

    fn end(&mut self, each: &mut impl FnMut(i32, Option<&[u8]>)) {
        // Some programs put a mark before a file's first byte.
        let mark = if self.number == 1 { "\u{feff}".as_bytes() } else { b"" };
        let line = self.line.strip_prefix(mark).unwrap_or(&self.line).trim_ascii();
        if self.too_long || !line.is_empty() {
            each(self.number, (!self.too_long).then_some(line));
        }
        self.line.clear();
        self.too_long = false;
        self.number = self.number.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8], piece: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let mut each = |number: i32, line: Option<&[u8]>| {
            let text = line.map_or("too long".to_owned(), |line| String::from_utf8_lossy(line).into_owned());
            lines.push(format!("{number}: {text}"));
        };
        let mut file_ = LineFile::new(10);
        for bytes in file.chunks(piece) {
            file_.feed(bytes, &mut each);
        }
        file_.finish(&mut each);
        lines
    }

    #[test]
    fn pieces_of_any_size_give_the_same_lines() {
        let file = "\u{feff}one\r\n\n  two\n12345678901\n1234567890\n\nlast".as_bytes();
        for piece in [1, 2, 3, 7, 1000] {
            let expected = ["1: one", "3: two", "4: too long", "5: 1234567890", "7: last"];
            assert_eq!(read(file, piece), expected, "pieces of {piece}");
        }
        assert_eq!(read(b"", 5), [""; 0]);
        assert_eq!(read(b"\n\n", 5), [""; 0]);
    }
}
