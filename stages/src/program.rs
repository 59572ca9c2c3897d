//! Other programs, executed in our place or beside us.

use nix::libc;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// A program with its arguments, ready to be executed: everything is allocated beforehand, so that a child of a process
/// with threads has nothing to do but system calls. (`std::process::Command` would cost 25 kB.)
pub(crate) struct Program {
    argv: Vec<CString>,
    envp: Vec<CString>,
    path: CString,
}

impl Program {
    /// The program at `path`, called `name`. Its environment is a `PATH` and what is given.
    pub(crate) fn new(path: &str, name: &str, environment: &[String]) -> io::Result<Self> {
        let mut envp = vec![CString::new("PATH=/sbin:/bin:/usr/sbin:/usr/bin")?];
        for variable in environment {
            envp.push(CString::new(variable.as_bytes())?);
        }
        Ok(Self {
            argv: vec![CString::new(name)?],
            envp,
            path: CString::new(path)?,
        })
    }

    /// The same with these arguments.
    pub(crate) fn with(mut self, arguments: &[impl AsRef<str>]) -> io::Result<Self> {
        for argument in arguments {
            self.argv.push(CString::new(argument.as_ref())?);
        }
        Ok(self)
    }

    fn pointers(list: &[CString]) -> Vec<*const libc::c_char> {
        list.iter()
            .map(|text| text.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    }

    /// execve(2); returns only the error.
    pub(crate) fn exec(&self) -> io::Error {
        let (argv, envp) = (Self::pointers(&self.argv), Self::pointers(&self.envp));
        // SAFETY: both arrays end with a null pointer, and `self` keeps the strings alive.
        unsafe { libc::execve(self.path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        io::Error::last_os_error()
    }

    /// Runs it with default signals in a session of its own, on this terminal if there is one, and waits for its end.
    /// True when it ended well, as far as that can be known: where SIGCHLD is ignored, wait(2) does not tell.
    pub(crate) fn run(&self, terminal: Option<&File>) -> io::Result<bool> {
        let child = self.start([terminal; 3])?;
        Ok(matches!(
            nix::sys::wait::waitpid(child, None),
            Ok(nix::sys::wait::WaitStatus::Exited(_, 0)) | Err(nix::Error::ECHILD)
        ))
    }

    /// Starts it with default signals in a session of its own, with these files as its standard input, output and error; the
    /// input, if it is a terminal, is that of the session.
    pub(crate) fn start(&self, stdio: [Option<&File>; 3]) -> io::Result<nix::unistd::Pid> {
        let (argv, envp) = (Self::pointers(&self.argv), Self::pointers(&self.envp));
        let stdio = stdio.map(|file| file.map(AsRawFd::as_raw_fd));
        // SAFETY: the child makes system calls only; it takes no lock and allocates nothing.
        match unsafe { nix::unistd::fork() }? {
            nix::unistd::ForkResult::Parent { child } => Ok(child),
            nix::unistd::ForkResult::Child => {
                crate::signals::defaults();
                let _ = nix::unistd::setsid();
                // SAFETY: dup2, ioctl and execve get valid pointers and plain integers; each may fail without harm.
                unsafe {
                    for (target, file) in (0..).zip(stdio) {
                        if let Some(file) = file {
                            libc::dup2(file, target);
                        }
                    }
                    if stdio[0].is_some() {
                        libc::ioctl(0, libc::TIOCSCTTY as _, 0);
                    }
                    libc::execve(self.path.as_ptr(), argv.as_ptr(), envp.as_ptr());
                    libc::_exit(127)
                }
            }
        }
    }
}
