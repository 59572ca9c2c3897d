//! The text itself: white space, words, numbers, strings, and where lists and objects end.

use super::error::Error;
use serde::de::value::U32Deserializer;
use serde::de::{Expected, Unexpected};

/// How deep lists and objects may lie in one another, as in `serde_json`: a text must not use up the stack.
const DEPTH: u8 = 127;

/// A number of JSON's.
pub(super) enum Number {
    Unsigned(u64),
    Negative(i64),
    /// One with a fraction or an exponent, or of more than 64 bits.
    Other,
}

/// A text and how far it has been read.
pub(super) struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    deep: u8,
    /// The last name that was none of those known.
    pub(super) unknown: String,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t [u8]) -> Reader<'t> {
        Reader {
            text,
            at: 0,
            deep: 0,
            unknown: String::new(),
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.bad("trailing characters")),
        }
    }

    /// The error with the place up to which was read. Lines and columns count from 1.
    pub(super) fn place(&self, error: Error) -> Error {
        let read = &self.text[..self.at];
        let begin = read.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = read.iter().filter(|byte| **byte == b'\n').count() + 1;
        error.at(line, self.at - begin)
    }

    /// The next byte that is not white space, which stays.
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = self.text.get(self.at).copied();
            match byte {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                _ => return byte,
            }
        }
    }

    /// An error at the next byte, or at the end.
    #[cold]
    pub(super) fn bad(&mut self, what: &str) -> Error {
        let what = match self.text.get(self.at) {
            Some(_) => what,
            None => "the text ends too early",
        };
        self.at = self.text.len().min(self.at + 1);
        Error::new(what)
    }

    /// What stands here is not what was expected.
    #[cold]
    pub(super) fn unexpected(&mut self, expected: &dyn Expected) -> Error {
        match self.peek() {
            Some(b'n') => match self.null() {
                Ok(()) => Error::kind(Unexpected::Unit, expected),
                Err(error) => error,
            },
            Some(b't' | b'f') => match self.boolean() {
                Ok(value) => Error::kind(Unexpected::Bool(value), expected),
                Err(error) => error,
            },
            Some(b'"') => match self.string() {
                Ok(text) => Error::kind(Unexpected::Str(&text), expected),
                Err(error) => error,
            },
            Some(b'[') => Error::kind(Unexpected::Seq, expected),
            Some(b'{') => Error::kind(Unexpected::Map, expected),
            Some(b'-' | b'0'..=b'9') => match self.number() {
                Ok(Number::Unsigned(value)) => Error::kind(Unexpected::Unsigned(value), expected),
                Ok(Number::Negative(value)) => Error::kind(Unexpected::Signed(value), expected),
                Ok(Number::Other) => Error::kind(Unexpected::Float(0.0), expected),
                Err(error) => error,
            },
            _ => self.bad("expected value"),
        }
    }

    /// `null`.
    pub(super) fn null(&mut self) -> Result<(), Error> {
        self.peek();
        self.word("null")
    }

    /// Exactly this word.
    fn word(&mut self, word: &str) -> Result<(), Error> {
        for byte in word.bytes() {
            if self.text.get(self.at) != Some(&byte) {
                return Err(self.bad("expected ident"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// `true` or `false`, one of which begins here.
    pub(super) fn boolean(&mut self) -> Result<bool, Error> {
        let value = self.peek() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        Ok(value)
    }

    fn digits(&mut self) -> Result<&'t [u8], Error> {
        let rest = &self.text[self.at..];
        let many = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if many == 0 {
            return Err(self.bad("invalid number"));
        }
        self.at += many;
        Ok(&rest[..many])
    }

    /// The number that begins here.
    pub(super) fn number(&mut self) -> Result<Number, Error> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let digits = self.digits()?;
        if digits.len() > 1 && digits[0] == b'0' {
            return Err(Error::new("invalid number"));
        }
        let mut whole = true;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
            whole = false;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
            whole = false;
        }
        let value = digits.iter().try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        });
        Ok(match value {
            Some(value) if whole && !negative => Number::Unsigned(value),
            Some(value) if whole && value != 0 => 0_i64
                .checked_sub_unsigned(value)
                .map_or(Number::Other, Number::Negative),
            _ => Number::Other,
        })
    }

    /// The string whose quotation mark stands here.
    pub(super) fn string(&mut self) -> Result<String, Error> {
        String::from_utf8(self.bytes()?).map_err(|_| Error::new("invalid unicode code point"))
    }

    /// Which of these names the string here is, by its number; one that none has where it is none of them.
    pub(super) fn number_of(&mut self, known: &[&str]) -> Result<U32Deserializer<Error>, Error> {
        let name = self.string()?;
        let number = known.iter().position(|known| *known == name);
        if number.is_none() {
            self.unknown = name;
        }
        let number = number.and_then(|number| u32::try_from(number).ok());
        Ok(U32Deserializer::new(number.unwrap_or(u32::MAX)))
    }

    /// The bytes of a string, which need not be UTF-8.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        if self.peek() != Some(b'"') {
            return Err(self.bad("expected a string"));
        }
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .iter()
                .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20))
                .count();
            bytes.extend_from_slice(&rest[..plain]);
            self.at += plain;
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(bytes);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let mut utf8 = [0; 4];
                    let char = self.escape()?;
                    bytes.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
                }
                _ => return Err(self.bad("control character (\\u0000-\\u001F) found while parsing a string")),
            }
        }
    }

    /// The character behind a backslash.
    fn escape(&mut self) -> Result<char, Error> {
        let char = match self.text.get(self.at) {
            Some(mark @ (b'"' | b'\\' | b'/')) => char::from(*mark),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.bad("invalid escape")),
        };
        self.at += 1;
        Ok(char)
    }

    /// The character of `\uXXXX`, or of two of them that are a surrogate pair.
    fn unicode(&mut self) -> Result<char, Error> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) && self.text[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        char::from_u32(code).ok_or_else(|| Error::new("lone surrogate in hex escape"))
    }

    fn hex(&mut self) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.text.get(self.at).and_then(|byte| char::from(*byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.bad("invalid escape"));
            };
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// Begins a list or an object, whose bracket stands here.
    pub(super) fn open(&mut self) -> Result<(), Error> {
        if self.deep == DEPTH {
            return Err(self.bad("recursion limit exceeded"));
        }
        self.deep += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether something follows in the list or object that ends so; passes over the comma in front of it.
    pub(super) fn more(&mut self, end: u8, first: bool) -> Result<bool, Error> {
        match self.peek() {
            Some(byte) if byte == end => Ok(false),
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                match self.peek() {
                    Some(byte) if byte == end => Err(self.bad("trailing comma")),
                    _ => Ok(true),
                }
            }
            _ => Err(self.bad("expected `,` or the end")),
        }
    }

    /// The end of a list or an object.
    pub(super) fn close(&mut self, end: u8) -> Result<(), Error> {
        if self.peek() != Some(end) {
            return Err(self.bad("trailing characters"));
        }
        self.deep -= 1;
        self.at += 1;
        Ok(())
    }

    /// The colon between a key and its value.
    pub(super) fn colon(&mut self) -> Result<(), Error> {
        if self.peek() != Some(b':') {
            return Err(self.bad("expected `:`"));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        let end = match self.peek() {
            Some(b'n') => return self.null(),
            Some(b't' | b'f') => return self.boolean().map(drop),
            Some(b'"') => return self.bytes().map(drop),
            Some(b'-' | b'0'..=b'9') => return self.number().map(drop),
            Some(b'[') => b']',
            Some(b'{') => b'}',
            _ => return Err(self.bad("expected value")),
        };
        self.open()?;
        let mut first = true;
        while self.more(end, first)? {
            first = false;
            if end == b'}' {
                self.bytes()?;
                self.colon()?;
            }
            self.skip()?;
        }
        self.close(end)
    }
}
