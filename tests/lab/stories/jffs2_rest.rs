//! A JFFS2 image that is shorter than its partition, over the nodes of an older file system: after `flashcp` old files come
//! back with the mount, after flasher none does.

use super::*;

on!(tell: armel = Armel);

fn tell(kind: Kind) {
    let pack = |files: &[(&str, &[u8])]| {
        let dir = tools::scratch();
        for (name, content) in files {
            tools::write(&dir.path().join(name), content);
        }
        jffs2(kind, dir.path())
    };
    // Bytes that JFFS2 cannot make shorter, so that the old file reaches far behind the new image.
    let noise: Vec<u8> = (0u32..300_000)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ (n >> 3) as u8)
        .collect();
    let old = pack(&[("a", &noise), ("b-old", &noise), ("c-old", &noise)]);
    let new = pack(&[("new", b"the new file")]);
    assert!(new.len() <= kind.erase_size() && old.len() > 2 * kind.erase_size());
    let product = tools::read(&tools::flasher(kind));
    let mut machine = Machine::new("jffs2-rest", Parts::plain(kind, 'A')).data_disk(&[
        ("flasher", &product),
        ("old.jffs2", &old),
        ("new.jffs2", &new),
    ]);
    machine.boot('A');
    machine.must("cp /mnt/data/flasher /tmp/ && chmod +x /tmp/flasher && umount /config");
    let mtd = kind
        .partitions()
        .iter()
        .position(|partition| partition.name == "config");
    let mtd = mtd.expect("the box has one");
    let write = |machine: &mut Machine, name: &str| {
        machine.must(&format!(
            "/tmp/flasher apply -y --no-reboot --in-place --part config /mnt/data/{name}.jffs2 2>&1"
        ))
    };
    let files = |machine: &mut Machine| {
        machine.must("mount -t jffs2 mtd:config /config");
        let files = machine.must("ls /config");
        machine.must("umount /config");
        let mut files: Vec<_> = files.split_whitespace().map(str::to_owned).collect();
        files.sort();
        files
    };
    write(&mut machine, "old");
    assert_eq!(files(&mut machine), ["a", "b-old", "c-old"]);
    machine.must(&format!("flashcp /mnt/data/new.jffs2 /dev/mtd{mtd}"));
    let after_flashcp = files(&mut machine);
    println!("after flashcp: {after_flashcp:?}");
    assert!(after_flashcp.iter().any(|name| name != "new"), "{after_flashcp:?}");
    write(&mut machine, "old");
    let said = write(&mut machine, "new");
    assert!(said.contains("made blank behind the jffs2"), "{said}");
    assert_eq!(files(&mut machine), ["new"]);
}
