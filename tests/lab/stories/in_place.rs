//! Nothing holds the partition: it is written while the box goes on with its work, or reboots when the caller has been told.

use super::tools::patience;
use super::*;

on!(tell: armel = Armel, mips = Mips);

fn tell(kind: Kind) {
    // Not a whole number of erase blocks, so that the last one has a tail to keep.
    let content = b"\x02what a user keeps in a partition of his own\n".repeat(2000);
    let product = tools::read(&tools::flasher(kind));
    let mut machine =
        Machine::new("in-place", Parts::plain(kind, 'A')).data_disk(&[("flasher", &product), ("spare.bin", &content)]);
    let before = machine.flash();
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /mnt/data/spare.bin /tmp/ && chmod +x /tmp/flasher");
    // As where `/dev` is a directory of the root file system, and its maker thought of block devices only.
    machine.must("rm /dev/mtd[0-9]*");
    machine.must("/tmp/flasher apply -y --no-reboot --part spare /tmp/spare.bin");
    assert_eq!(
        machine.must("ls -a /dev | grep -c '[.]mtd\\|^mtd[0-9]' || true").trim(),
        "0",
        "nothing stays behind"
    );
    assert_eq!(machine.must("readlink /proc/1/exe").trim(), "/bin/busybox");
    assert_eq!(
        machine.must("uptime; cat /etc/firmware").lines().last(),
        Some(&*format!("A 1.0-{kind}"))
    );
    Expected::unchanged(kind, &before)
        .with_image(&["spare"], &content)
        .compare(&machine.flash());

    // Over ssh the program ends as programs do, result and exit code told, and then the box goes down.
    let between = machine.flash();
    machine.must("tail -c +1001 /tmp/spare.bin >/tmp/less.bin");
    machine.ssh().wait();
    let told = machine
        .ssh()
        .output("/tmp/flasher --format json apply -y --part spare /tmp/less.bin");
    let said = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let last = said.lines().last().unwrap_or_default();
    assert!(
        last.contains("\"result\"") && last.contains("\"code\":\"written\""),
        "{said}"
    );
    machine.wait_exit(patience(120));
    Expected::unchanged(kind, &between)
        .with_image(&["spare"], &content[1000..])
        .compare(&machine.flash());
}
