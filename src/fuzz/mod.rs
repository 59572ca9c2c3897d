//! What parsers of bytes from outside are fed with, and what must hold then: none panics, hangs, or takes memory that it was not
//! given. `fuzz/` has the seeds, and the program that searches with the help of coverage (`fuzz/run`); here each target runs for
//! a moment, on changes of the seeds that are the same at every run.

#![allow(clippy::unwrap_used)]

mod eaten;
mod images;
mod planner;
#[cfg(test)]
mod tests;
mod texts;

/// Something that is fed.
pub struct Target {
    /// Its name, and that of the directory of its seeds.
    pub name: &'static str,
    /// Takes an input. It panics where something does not hold.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("image", images::open),
    target("content", images::look),
    target("uimage", images::uimage),
    target("ubi", images::ubi),
    target("jffs2", images::jffs2),
    target("fit", images::fit),
    target("packings", images::packings),
    target("tar", images::tar),
    target("pat", images::pat),
    target("qpkg", images::qpkg),
    target("fwtool", images::trailers),
    target("settings", images::settings),
    target("planner", planner::write),
    target("layout", planner::layout),
    target("profile", texts::profile),
    target("record", texts::record),
    target("handoff", texts::handoff),
    target("inittab", texts::inittab),
    target("environment", texts::environment),
    target("fw-env-config", texts::environment_config),
    target("checksums", texts::checksums),
    target("hawkbit", texts::server),
    target("http-answer", texts::answer),
    target("listen-request", texts::request),
    target("pushed", texts::pushed),
    target("told", texts::told),
    target("signatures", texts::signatures),
    target("names", texts::names),
    target("dhcp", texts::dhcp),
    target("tftp", texts::tftp),
    #[cfg(fuzzing)]
    target("proc-mtd", mtd_rs::fuzz::proc_mtd),
    #[cfg(fuzzing)]
    target("mtdparts", mtd_rs::fuzz::cmdline),
    #[cfg(fuzzing)]
    target("mountinfo", stages::fuzz::mountinfo),
    #[cfg(fuzzing)]
    target("ubus", stages::fuzz::ubus),
    #[cfg(fuzzing)]
    target("proc-stat", stages::fuzz::stat),
    #[cfg(fuzzing)]
    target("init-program", stages::fuzz::program),
    #[cfg(fuzzing)]
    target("json", stages::fuzz::json),
];
