//! Rows of a CSV file, one at a time, so that memory does not grow with the file, nor with a row that has no end because a
//! quote is not closed.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;

use csv::StringRecord;

use crate::EngineError;

/// The longest row that is read.
const MAX_ROW_BYTES: usize = 1 << 20;

/// A row with the number of its first line, or why it cannot be read.
pub(crate) type NumberedRow<'a> = (usize, Result<&'a StringRecord, String>);

/// Reads rows.
pub(crate) struct CsvRows<R> {
    reader: csv::Reader<Bounded<R>>,
    /// Bytes read for the present row.
    read: Rc<Cell<usize>>,
    record: StringRecord,
    is_at_end: bool,
}

/// Ends with an error when too much is read for one row.
struct Bounded<R> {
    inner: R,
    read: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.read.get() > MAX_ROW_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get() + read);
        Ok(read)
    }
}

impl<R: Read> CsvRows<R> {
    pub fn new(file: R) -> Self {
        let read = Rc::new(Cell::new(0));
        let bounded = Bounded {
            inner: file,
            read: read.clone(),
        };
        Self {
            reader: csv::ReaderBuilder::new().flexible(false).from_reader(bounded),
            read,
            record: StringRecord::new(),
            is_at_end: false,
        }
    }

    /// The names of the columns, without blanks around them and the byte order mark that some editors write.
    pub fn headers(&mut self) -> Result<Vec<String>, EngineError> {
        let headers = self.reader.headers();
        let headers = headers
            .map_err(|error| EngineError::field("", format!("no header line can be read: {error}")))?;
        if headers.len() == 1 && headers.iter().any(|name| name.contains(';')) {
            let detail = "the columns are divided by semicolons; save it with commas";
            return Err(EngineError::field("", detail));
        }
        let plain = |name: &str| name.trim_start_matches('\u{feff}').trim().to_owned();
        Ok(headers.iter().map(plain).collect())
    }

    /// The next row; `None` at the end, and after a row that is too long: where it ends cannot be told.
    pub fn next(&mut self) -> Result<Option<NumberedRow<'_>>, EngineError> {
        if self.is_at_end {
            return Ok(None);
        }
        self.read.set(0);
        let before = self.reader.position().line() as usize;
        match self.reader.read_record(&mut self.record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let position = self.record.position();
                let line = position.map_or(before, |position| position.line() as usize);
                Ok(Some((line, Ok(&self.record))))
            }
            Err(error) if error.is_io_error() => {
                if self.read.get() <= MAX_ROW_BYTES {
                    return Err(EngineError::File(error.into()));
                }
                self.is_at_end = true;
                let problem = format!(
                    "the row is longer than {MAX_ROW_BYTES} bytes, perhaps because a quote is not closed; nothing after it was read"
                );
                Ok(Some((before, Err(problem))))
            }
            Err(error) => {
                let line = error
                    .position()
                    .map_or(before, |position| position.line() as usize);
                Ok(Some((line, Err(error.to_string()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_end_is_refused_without_being_held() {
        let start = b"text,label\na,x\n\"never closed ".chain(std::io::repeat(b'y'));
        let mut rows = CsvRows::new(start);
        assert_eq!(rows.headers().unwrap(), ["text", "label"]);
        assert!(rows.next().unwrap().unwrap().1.is_ok());
        let (line, row) = rows.next().unwrap().unwrap();
        assert_eq!(line, 3);
        assert!(row.unwrap_err().contains("quote is not closed"));
        assert!(rows.next().unwrap().is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_on_ends_with_its_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("the disk is gone"))
            }
        }
        let mut rows = CsvRows::new(b"a,b\n1,2\n".chain(Broken));
        rows.headers().unwrap();
        assert!(rows.next().unwrap().unwrap().1.is_ok());
        assert!(rows.next().is_err());
    }
}
