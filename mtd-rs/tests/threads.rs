//! What crosses threads: a flash may be read in one while another unpacks what comes next.
#![allow(clippy::unwrap_used)]

use mtd_rs::ubi::{UbiInfo, UbiVolume};
use mtd_rs::{Error, Geometry, MtdDevice, MtdInfo, SystemPaths};

#[test]
fn devices_and_what_is_known_of_them_can_be_sent_to_another_thread() {
    fn send<T: Send + 'static>() {}
    fn sync<T: Sync>() {}
    send::<MtdDevice>();
    sync::<MtdDevice>();
    send::<UbiVolume>();
    send::<Error>();
    sync::<Error>();
    send::<(MtdInfo, UbiInfo, Geometry, SystemPaths)>();
    sync::<(MtdInfo, UbiInfo, Geometry, SystemPaths)>();
}

#[cfg(feature = "sim")]
mod sim {
    use std::thread;

    use mtd_rs::{Fault, Flash, SimBuilder, SimChip, SimFlash, Timing};

    #[test]
    fn simulated_flash_can_be_sent_and_shared() {
        fn both<T: Send + Sync + 'static>() {}
        both::<SimChip>();
        both::<SimFlash>();
        both::<SimBuilder>();
        both::<(Fault, Timing)>();
    }

    #[test]
    fn two_threads_write_two_partitions_of_one_chip() {
        let chip = SimChip::nor(0x8000, 0x1000).build().unwrap();
        let writers = [(0..0x4000, 0x55), (0x4000..0x8000, 0xaa)].map(|(range, byte)| {
            let mut flash = chip.partition("half", range, true);
            thread::spawn(move || {
                for offset in (0..0x4000).step_by(16) {
                    flash.program(offset, &[byte; 16]).unwrap();
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(chip.contents(0..0x4000), [0x55; 0x4000]);
        assert_eq!(chip.contents(0x4000..0x8000), [0xaa; 0x4000]);
        assert_eq!(chip.counters().programs, 0x800);
    }

    #[test]
    fn a_chip_can_be_used_after_a_handle_of_it_panicked() {
        let chip = SimChip::nor(0x1000, 0x1000).build().unwrap();
        let other = chip.clone();
        assert!(thread::spawn(move || other.load(0xfff, &[0; 2])).join().is_err());
        chip.load(0xfff, &[0]);
        assert_eq!(chip.contents(0xfff..0x1000), [0]);
    }
}
