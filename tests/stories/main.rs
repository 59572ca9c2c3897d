//! Stories: what flasher promises, each told once. A file holds the stories of one subject and is named after it.
//!
//! Those listed below run on simulated boxes with `cargo test`. Those of `lab` run on emulated ones: `tests/run` builds
//! what the lab needs and runs them all.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

#[path = "../bench/mod.rs"]
mod bench;
mod cable;
mod ddi;
mod fakebox;
mod hawkbit;
#[path = "../lab/mod.rs"]
mod lab;
mod simbox;
mod simrun;
mod sshbox;
mod sshfleet;

// An update: what is written, what is refused, and what programs are told.
mod apply;
mod attacks;
mod backup;
mod boards;
mod causes;
mod comfort;
mod contract;
mod demo;
mod fleet;
mod identity;
mod listen;
mod listen_page;
mod policy;
mod poll;
mod poll_again;
mod poll_goosebit;
mod poll_hostile;
mod profiles;
mod protection;
mod push;
mod push_follow;
mod push_logins;
mod reads;
mod refusals;
mod several_files;
mod sources;
mod streams;
mod trust;

// What an image is, and files that are not what they seem to be.
mod belongs;
mod containers;
mod every_bit;
mod foreign;
mod formats;
mod hostile;
mod hostile_work;
mod images;
mod insides;
mod judges;
mod packed_parts;
mod pieces;
mod processors;
mod two_truths;
mod vendor_headers;
mod verbatim;
mod whole;
mod within_images;

// The engine: work, order, faults, and flash of every kind.
mod campaign;
mod ecc;
mod engine;
mod faults;
mod fetched;
mod geometry;
mod nand;
mod odd_flash;
mod recovery_last;
mod rest;
mod settings;
mod settings_faults;
mod shapes;
mod shapes_apply;
mod stopped_server;
mod time_and_memory;
mod ubi;
mod volumes;

// What outlives an update.
mod env;
mod env_config;
mod keep;
mod record;
mod slot_faults;
mod slots;

// What vendors have: boot loaders with a recovery mode, packages, an update page, lights and buzzers.
mod bootloader;
mod pat;
mod qpkg;
mod qpkg_hostile;
mod recovery;
mod recovery_check;
mod recovery_dhcp;
mod recovery_tftp;
mod signals;
mod updater;
mod vendors;

// The documents, and what comments point to.
mod dependencies;
mod documents;
mod documents_commands;
mod documents_typed;
mod manual;
mod porting;
mod protocol;
mod rooms;
mod unsafe_code;
