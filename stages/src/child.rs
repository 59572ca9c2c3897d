//! Another program whose output is read. What it wrote counts only if it ended well.
#![forbid(unsafe_code)]

use crate::program::Program;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

/// A running program. It is killed when this is dropped before its end.
pub struct Child {
    name: String,
    pid: Option<Pid>,
    output: File,
    code: Option<i32>,
    patience: PollTimeout,
}

impl Child {
    /// Starts the program at this path. It gets an empty standard input, and its errors are shown where ours are.
    ///
    /// # Errors
    /// Those of pipe(2) and fork(2). That there is no such program is seen by its exit code, 127.
    pub fn start(path: &str, arguments: &[String], patience: Duration) -> io::Result<Child> {
        Child::begin(path, arguments, false, patience)
    }

    /// The same, and its errors are a part of its output.
    ///
    /// # Errors
    /// As of [`Child::start`].
    pub fn start_with_errors(path: &str, arguments: &[String], patience: Duration) -> io::Result<Child> {
        Child::begin(path, arguments, true, patience)
    }

    fn begin(path: &str, arguments: &[String], errors: bool, patience: Duration) -> io::Result<Child> {
        let program = Program::new(path, path, &[])?.with(arguments)?;
        let (output, writer) = pipe2(OFlag::O_CLOEXEC)?;
        let nothing = File::open("/dev/null")?;
        let writer = File::from(writer);
        let pid = program.start([Some(&nothing), Some(&writer), errors.then_some(&writer)])?;
        Ok(Child {
            name: path.to_owned(),
            pid: Some(pid),
            output: File::from(output),
            code: None,
            patience: PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX),
        })
    }

    /// The exit code of a program that ended, but not well.
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(pid) = self.pid.take() else { return Ok(()) };
        let how = match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(WaitStatus::Exited(_, code)) => {
                self.code = Some(code);
                format!("ended with exit code {code}")
            }
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("was ended by {signal}"),
            other => format!("ended, and the kernel does not tell how: {other:?}"),
        };
        Err(io::Error::other(format!("{} {how}", self.name)))
    }
}

impl Read for Child {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = &mut [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        if poll(waiting, self.patience)? == 0 {
            let silent = format!("{} has delivered nothing for too long", self.name);
            return Err(io::Error::new(io::ErrorKind::TimedOut, silent));
        }
        match self.output.read(buffer)? {
            0 if !buffer.is_empty() => self.end().map(|()| 0),
            got => Ok(got),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(command: &str, patience: Duration) -> io::Result<Vec<u8>> {
        let mut child = Child::start("/bin/sh", &["-c".to_owned(), command.to_owned()], patience)?;
        let mut all = Vec::new();
        child.read_to_end(&mut all).map(|_| all)
    }

    #[test]
    fn what_a_program_wrote_counts_only_if_it_ended_well() {
        let long = Duration::from_secs(20);
        assert_eq!(shell("cat; echo all", long).expect("ends well"), b"all\n");
        let failed = |command, patience| shell(command, patience).expect_err("fails").to_string();
        assert!(failed("echo some; exit 3", long).contains("exit code 3"));
        assert!(failed("echo some; kill -9 $$", long).contains("SIGKILL"));
        assert!(failed("echo some; sleep 100", Duration::from_millis(300)).contains("for too long"));
        let missing = Child::start("/no/such/program", &[], long).map(|mut child| child.read(&mut [0; 8]));
        assert!(missing.is_ok_and(|read| read.is_err_and(|e| e.to_string().contains("exit code 127"))));
    }
}
