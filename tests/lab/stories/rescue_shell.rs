//! Flash fails in the middle and cannot be made good: the box stays up with its network and a shell, in which a second
//! `apply` mends it. Meanwhile the box's LED shows that it failed.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::tools::patience;
use super::*;

on!(tell: armel = Armel);

/// A NAND chip of 128 MiB with two partitions. In the second, the third erase block (16 KiB) fails at every erase.
pub const NAND: &str = "insmod /mnt/data/nand.ko; insmod /mnt/data/nandsim.ko parts=1024 weakblocks=1026:0";

fn tell(kind: Kind) {
    let firmware = Parts::plain(kind, 'B');
    let mut image = firmware.image();
    image.resize(kind.partition("kernel").size + kind.partition("rootfs").size, 0xff);
    let nor = image.clone();
    image.extend(b"\x02what goes into NAND ".repeat(8000));
    let product = tools::read(&tools::flasher(kind));
    let modules = ["nand", "nandsim"].map(|name| firmware.module(name));
    let mut machine = Machine::new("rescue-shell", Parts::plain(kind, 'A')).data_disk(&[
        ("flasher", &product),
        ("image.bin", &image),
        ("nand.ko", &modules[0]),
        ("nandsim.ko", &modules[1]),
        ("board.json", &super::signals::profile(kind)),
    ]);
    let before = machine.flash();
    machine.boot('A');
    copy_from_disk(&mut machine);
    machine.must(NAND);
    machine.must("grep mtd7 /proc/mtd");
    machine.must("cp /mnt/data/board.json /tmp/");
    machine.send_line(
        "/tmp/flasher apply -y --board /tmp/board.json --rescue-shell --no-rollback --part kernel,rootfs,mtd7 /tmp/image.bin",
    );
    machine.expect(words::AS_PID_ONE, patience(120));
    machine.expect(words::RESCUE, patience(300));
    machine.expect("# ", patience(60));
    assert!(machine.is_on());

    // The programs of busybox are called by their names.
    let listed = machine.must("ls -l /bin/mount /bin/wget /bin/dd");
    assert_eq!(listed.matches("-> busybox").count(), 3, "{listed}");
    machine.must("mount -t tmpfs tmpfs /tmp && umount /tmp");

    // Its LED flashes, and has not gone on with what means that it works.
    let led = machine.must("cd /sys/class/leds/versatile:3 && cat trigger delay_on delay_off; cd /");
    let led: Vec<_> = led.split_whitespace().collect();
    assert_eq!(led, ["none", "[timer]", "50", "450"]);

    // What the old system had set up is there, and everybody who set it up is gone.
    machine.must("ping 10.0.2.2");
    let said = machine.must("flasher status");
    assert!(said.contains("flash partly"), "{said}");

    // Another image comes over the network; the bad block is passed over this time.
    let address = serve(image.clone());
    machine.must("rm /image");
    machine.send_line(&format!(
        "flasher apply -y --mark-bad --part kernel,rootfs,mtd7 http://10.0.2.2:{address}/image.bin"
    ));
    becomes_b(&mut machine, &before, &nor);
}

/// Serves these bytes to whoever asks; answers the port.
fn serve(body: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    port
}
