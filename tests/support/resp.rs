//! A Redis client of our own, so that tests can look at keys, and damage them, without the client under test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::wait::DEADLINE;

/// A reply as Redis sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Int(i64),
    /// A bulk or simple string; bytes that are not UTF-8 are replaced.
    Text(String),
    List(Vec<Reply>),
    Error(String),
}

impl Reply {
    /// The text of a string or number; everything else fails the test.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            other => panic!("a string was expected, not {other:?}"),
        }
    }

    #[track_caller]
    pub fn int(&self) -> i64 {
        self.text().parse().expect("a number was expected")
    }

    #[track_caller]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            other => panic!("a list was expected, not {other:?}"),
        }
    }

    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }
}

/// As `redis-cli` prints it into a pipe: a line per item, nothing for nil, `(error) ` before an error.
impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nil => Ok(()),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Error(error) => write!(f, "(error) {error}"),
            Self::List(items) => {
                let lines: Vec<String> = items.iter().map(Self::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection; every error but an error reply is an `io::Error`, so that a test can watch a connection die.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
}

impl Client {
    pub fn unix(socket: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream: BufReader::new(Box::new(stream)) })
    }

    pub fn tcp(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { stream: BufReader::new(Box::new(stream)) })
    }

    /// Sends one command and waits for its reply.
    pub fn ask(&mut self, command: &[&str]) -> std::io::Result<Reply> {
        self.send(command)?;
        self.receive()
    }

    pub fn send(&mut self, command: &[&str]) -> std::io::Result<()> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for word in command {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.stream.get_mut().write_all(&bytes)
    }

    pub fn receive(&mut self) -> std::io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (sign, rest) = line.split_at(1);
        let count = || rest.parse::<i64>().map_err(|_| std::io::Error::other(format!("not RESP: {line}")));
        match sign {
            "+" => Ok(Reply::Text(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Int(count()?)),
            "$" if count()? < 0 => Ok(Reply::Nil),
            "$" => {
                let length = usize::try_from(count()?).expect("not negative");
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes)?;
                Ok(Reply::Text(String::from_utf8_lossy(&bytes[..length]).into_owned()))
            }
            "*" if count()? < 0 => Ok(Reply::Nil),
            "*" => (0..count()?).map(|_| self.receive()).collect::<Result<_, _>>().map(Reply::List),
            _ => Err(std::io::Error::other(format!("not RESP2: {line}"))),
        }
    }
}
