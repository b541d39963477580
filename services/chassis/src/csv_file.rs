//! A CSV file that comes in pieces: bytes in, records with their lines out, in bounded memory.

use csv_core::{ReadRecordResult, Reader};

use crate::page;

/// The most cells of a record.
const CELLS: usize = 64;

/// The reader of a file.
pub struct CsvFile {
    reader: Reader,
    /// The longest record, in bytes after unquoting.
    longest: usize,
    text: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    ended: usize,
    too_large: bool,
    /// The line that is being read, from 1.
    line: i32,
    /// The line on which the record began that is being read, if one is.
    began: Option<i32>,
}

/// A record: the line on which it begins, and its cells or `None` when it is too large.
pub struct Record<'a> {
    pub line: i32,
    pub cells: Option<Cells<'a>>,
}

/// The cells of a record, unquoted.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    text: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Cells<'a> {
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a cell; empty beyond the last.
    pub fn get(&self, index: usize) -> &'a [u8] {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or_default() };
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or_default()
    }
}

impl CsvFile {
    /// A file whose records have at most `longest` bytes after unquoting.
    pub fn new(longest: usize) -> CsvFile {
        CsvFile {
            reader: Reader::new(),
            longest,
            text: vec![0; 4096],
            ends: vec![0; CELLS],
            written: 0,
            ended: 0,
            too_large: false,
            line: 1,
            began: None,
        }
    }

    /// Takes the next bytes of the file and hands on every record that they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Record<'_>)) {
        while !bytes.is_empty() {
            if self.began.is_none() {
                bytes = self.skip_line_ends(bytes);
                if bytes.is_empty() {
                    return;
                }
                self.began = Some(self.line);
            }
            let read = self.advance(bytes, &mut each);
            bytes = bytes.get(read..).unwrap_or_default();
        }
    }

    /// Hands on the last record, when no line end stands behind it.
    pub fn finish(&mut self, mut each: impl FnMut(Record<'_>)) {
        while self.began.is_some() {
            self.advance(&[], &mut each);
        }
    }

    /// Empty lines are no records. The reader would skip them too, but then a record would seem to begin before them.
    fn skip_line_ends<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let ends = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (skipped, rest) = bytes.split_at(ends);
        self.count_lines(skipped);
        rest
    }

    /// Reads as far as the reader goes in one step and answers how many bytes that were. No bytes mean the end of the file.
    fn advance(&mut self, bytes: &[u8], each: &mut impl FnMut(Record<'_>)) -> usize {
        let text = self.text.get_mut(self.written..).unwrap_or_default();
        let ends = self.ends.get_mut(self.ended..).unwrap_or_default();
        let (result, read, wrote, ended) = self.reader.read_record(bytes, text, ends);
        self.written += wrote;
        self.ended += ended;
        self.count_lines(bytes.get(..read).unwrap_or_default());
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull if self.text.len() < self.longest => {
                self.text.resize(self.longest.min(self.text.len() * 4), 0);
            }
            // Of a record that is too large the rest is read and forgotten.
            ReadRecordResult::OutputFull => (self.written, self.too_large) = (0, true),
            ReadRecordResult::OutputEndsFull => (self.ended, self.too_large) = (0, true),
            ReadRecordResult::Record => self.hand_on(each),
            ReadRecordResult::End => self.began = None,
        }
        read
    }

    fn hand_on(&mut self, each: &mut impl FnMut(Record<'_>)) {
        let line = self.began.take().unwrap_or(self.line);
        let text = self.text.get(..self.written).unwrap_or_default();
        let ends = self.ends.get(..self.ended).unwrap_or_default();
        each(Record { line, cells: (!self.too_large).then_some(Cells { text, ends }) });
        (self.written, self.ended, self.too_large) = (0, 0, false);
    }

    fn count_lines(&mut self, bytes: &[u8]) {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.line = self.line.saturating_add(page::count(lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD_LENGTH: usize = 256 * 1024;

    /// The records of a file that comes in pieces of this size.
    fn read(file: &[u8], piece: usize) -> Vec<String> {
        let mut records = Vec::new();
        let mut each = |record: Record<'_>| {
            let cells = record.cells.map(|cells| {
                let cells = (0..cells.count()).map(|index| String::from_utf8_lossy(cells.get(index)).into_owned());
                cells.collect::<Vec<_>>().join("|")
            });
            records.push(format!("{}: {}", record.line, cells.unwrap_or_else(|| "too large".to_owned())));
        };
        let mut csv = CsvFile::new(RECORD_LENGTH);
        for bytes in file.chunks(piece) {
            csv.feed(bytes, &mut each);
        }
        csv.finish(&mut each);
        records
    }

    #[test]
    fn k3_pieces_of_any_size_give_the_same_records() {
        let file = b"a,b\n1,\"two\nlines\"\r\n\r\n\n3,\"say \"\"hi\"\"\"\n,\n5,last";
        let expected = ["1: a|b", "2: 1|two\nlines", "6: 3|say \"hi\"", "7: |", "8: 5|last"];
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(read(file, piece), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn k3_a_record_that_is_too_large_is_left_out_and_the_next_one_read() {
        for piece in [1000, 65_536, 10_000_000] {
            let mut file = b"a,b\n\"".to_vec();
            file.extend(vec![b'x'; 3 * RECORD_LENGTH]);
            file.extend(b"\ny\",z\n1,2\n");
            file.extend(vec![b','; CELLS]);
            file.extend(b"\n3,4\n");
            assert_eq!(
                read(&file, piece),
                ["1: a|b", "2: too large", "4: 1|2", "5: too large", "6: 3|4"],
                "pieces of {piece}"
            );
        }
    }

    #[test]
    fn k3_a_quote_without_end_does_not_hang() {
        assert_eq!(read(b"a,b\n1,\"never closed\n2,3\n", 5), ["1: a|b", "2: 1|never closed\n2,3\n"]);
        assert_eq!(read(b"", 5), [""; 0]);
        assert_eq!(read(b"\n\n", 5), [""; 0]);
    }
}
