//! A box: QEMU, its flash chip in a file, and its console.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::boot_loader;
use super::console::Console;
use super::firmware::{Parts, Rescue};
use super::kind::Kind;
use super::slots::{Choice, Slots};
use super::ssh::Keys;
use super::tools::{command, patience, read, run, scratch, text, write};

/// The prompt of the box's shell, which is root's.
const PROMPT: &str = "# ";
/// The last that init itself prints, from a process of its own: before, amid or after what its first shell prints.
const INIT_IS_QUIET: &str = "'/usr/sbin/dropbear -F -R 2>/run/dropbear.log'\r\n";

/// A box, which need not be switched on. All of its files are in a directory of its own and go away with it.
pub struct Machine {
    pub kind: Kind,
    name: String,
    dir: tempfile::TempDir,
    keys: Keys,
    ram_mib: u32,
    append: String,
    /// The partitions, as the command line has them.
    table: String,
    /// Whether the environment says what is started, and what the boot loader adds to the command line then.
    slots: Option<Slots>,
    words: String,
    devices: Vec<&'static str>,
    /// Whether a reboot is one of the box, in which RAM keeps its content, and not the end of QEMU.
    warm_reboots: bool,
    /// More words for QEMU's command line.
    options: Vec<&'static str>,
    /// Bytes a second at which the flash takes what is written; 0 for as fast as the workstation.
    flash_speed: u32,
    second_port: bool,
    /// Whether QEMU can be asked, and waits at the end of the box until it is told to quit.
    monitor: bool,
    console: Console,
    qemu: Option<Child>,
    ssh_port: u16,
    rescue_port: u16,
    listen_port: u16,
}

impl Machine {
    /// A box with this firmware in its flash. `name` names the file its console is saved in when the test fails.
    pub fn new(name: &str, firmware: &Parts) -> Self {
        let dir = scratch();
        let keys = Keys::generate(dir.path());
        let config = dir.path().join("config");
        keys.authorize(&config);
        write(&dir.path().join("flash.bin"), &firmware.flash(&config));
        Machine {
            kind: firmware.kind,
            name: format!("{name}-{}", firmware.kind),
            dir,
            keys,
            ram_mib: firmware.kind.ram_mib(),
            append: String::new(),
            table: firmware.kind.table(),
            slots: None,
            words: String::new(),
            devices: Vec::new(),
            warm_reboots: false,
            options: Vec::new(),
            flash_speed: 0,
            second_port: false,
            monitor: false,
            console: Console::default(),
            qemu: None,
            ssh_port: 0,
            rescue_port: 0,
            listen_port: 0,
        }
    }

    /// Changes the size of the RAM, which is that of its kind otherwise.
    pub fn ram_mib(mut self, mib: u32) -> Self {
        self.ram_mib = mib;
        self
    }

    /// Adds to the kernel's command line.
    pub fn append(mut self, words: &str) -> Self {
        self.append = words.to_owned();
        self
    }

    /// Divides the flash in another way. A malta takes no more than 255 characters of command line in all.
    pub fn table(mut self, table: &str) -> Self {
        self.table = table.to_owned();
        self
    }

    /// Gives the box a second slot and an environment with these variables, which the boot loader goes by.
    pub fn two_slots(mut self, slots: Slots, variables: &str) -> Self {
        self.slots = Some(slots);
        self.set_environment(Some(variables));
        self
    }

    /// Replaces the environment of a box that is off; `None` for a blank one.
    pub fn set_environment(&mut self, variables: Option<&str>) {
        assert!(self.qemu.is_none(), "{} is on", self.name);
        let mut flash = self.flash();
        let slots = self.slots.expect("a box with slots");
        slots.save(&mut flash, variables);
        write(&self.flash_file(), &flash);
    }

    /// Plugs a device of QEMU in.
    pub fn device(mut self, device: &'static str) -> Self {
        self.devices.push(device);
        self
    }

    /// Makes an instruction of the box take 2 to the power of `shift` nanoseconds of its time, whatever else the workstation
    /// does. Its clock tells then how long a real box would take, as far as an instruction of that takes always the same.
    pub fn steady_clock(mut self, shift: &'static str) -> Self {
        self.options.extend(["-icount", shift]);
        self
    }

    /// Has QEMU say what its flash chip is told: erases, and writes of the chip's buffer. See [`Machine::said_by_qemu`].
    pub fn trace_flash(mut self) -> Self {
        for event in ["pflash_write_block_erase", "pflash_write_block_start"] {
            self.options.extend(["-trace", event]);
        }
        self
    }

    /// What QEMU itself has said since the box was switched on.
    pub fn said_by_qemu(&self) -> String {
        String::from_utf8_lossy(&read(&self.dir.path().join("qemu.err"))).into_owned()
    }

    /// Makes the flash as slow as this, in bytes a second; an erase counts like writing the block.
    pub fn flash_speed(mut self, speed: u32) -> Self {
        self.flash_speed = speed;
        self
    }

    /// Lets a reboot be one: the box goes on by itself with its RAM as it was, and with the kernel it was switched on with.
    pub fn warm_reboots(mut self) -> Self {
        self.warm_reboots = true;
        self
    }

    /// Connects the second serial port, `Kind::second_port` in the box, to whoever calls [`Machine::heard`].
    pub fn second_port(mut self) -> Self {
        self.second_port = true;
        self
    }

    /// Leaves the box as it is at its end, until [`Machine::ask_qemu`] says `quit`.
    pub fn stays_at_its_end(mut self) -> Self {
        self.monitor = true;
        self
    }

    /// What QEMU says to a command of its monitor. Only of a box that stays at its end.
    pub fn ask_qemu(&self, command: &str) -> String {
        super::monitor::ask(&self.monitor_socket(), command)
    }

    /// Attaches a disk with these files. The box mounts it at `/mnt/data`.
    pub fn data_disk(self, files: &[(&str, &[u8])]) -> Self {
        let content = self.dir.path().join("data");
        let size: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        for (name, bytes) in files {
            write(&content.join(name), bytes);
        }
        // Twice the size, for ext2's own tables and for what the box may write.
        let kib = 4096 + size * 2 / 1024;
        run(command("mke2fs").args([
            "-q",
            "-t",
            "ext2",
            "-d",
            text(&content),
            text(&self.disk()),
            &format!("{kib}k"),
        ]));
        self
    }

    /// Gives the kernel an initramfs, as a boot loader does that loads one from the network.
    pub fn initramfs(self, cpio: &[u8]) -> Self {
        write(&self.initrd(), cpio);
        self
    }

    /// Switches the box on.
    ///
    /// # Errors
    ///
    /// What the boot loader says when it does not accept the kernel in the flash.
    pub fn power_on(&mut self) -> Result<(), String> {
        assert!(self.qemu.is_none(), "{} is on already", self.name);
        let kernel = self.dir.path().join("kernel");
        let flash = self.flash();
        let partition = match self.slots {
            None => self.kind.partition("kernel").range(),
            Some(slots) => {
                let Choice { kernel, words } = slots.choose(&flash);
                self.words = words;
                slots.range(kernel)
            }
        };
        boot_loader::load(&flash[partition], &kernel)?;
        self.start(&kernel, &self.disk());
        Ok(())
    }

    fn start(&mut self, kernel: &Path, disk: &Path) {
        for attempt in 0..5 {
            // A box keeps its address, unless somebody else has it by now.
            if attempt > 0 || self.ssh_port == 0 {
                self.ssh_port = free_port();
                self.rescue_port = free_port();
                self.listen_port = free_port();
            }
            let mut qemu = self.spawn(kernel, disk);
            // Between our choosing a port and QEMU's taking it, another may have come first.
            std::thread::sleep(Duration::from_millis(300));
            if matches!(qemu.try_wait(), Ok(None)) {
                let (Some(input), Some(output)) = (qemu.stdin.take(), qemu.stdout.take()) else {
                    panic!("QEMU was started with pipes");
                };
                self.console.note("power on");
                self.console.connect(input, output);
                self.qemu = Some(qemu);
                return;
            }
        }
        let said = String::from_utf8_lossy(&read(&self.dir.path().join("qemu.err"))).into_owned();
        panic!("QEMU does not start: {said}");
    }

    fn spawn(&self, kernel: &Path, disk: &Path) -> Child {
        let (program, board) = self.kind.qemu();
        let errors = std::fs::File::create(self.dir.path().join("qemu.err")).expect("a file of ours");
        let mut qemu = command(program);
        qemu.args(board)
            .args(["-m", &self.ram_mib.to_string(), "-kernel", text(kernel)])
            .args([
                "-append",
                &format!("{} {} {}", self.kind.command_line(&self.table), self.words, self.append),
            ])
            .args([
                "-drive",
                &format!(
                    "if=pflash,format=raw,throttling.bps-write={},file={}",
                    self.flash_speed,
                    text(&self.flash_file())
                ),
            ])
            // Without it, /dev/urandom has nothing to give for minutes.
            .args(["-device", "virtio-rng-pci"])
            .args([
                "-netdev",
                &format!(
                    "user,id=n0,hostfwd=tcp:127.0.0.1:{}-10.0.2.15:22,hostfwd=tcp:127.0.0.1:{}-10.0.2.15:3552,\
                     hostfwd=tcp:127.0.0.1:{}-10.0.2.15:3553",
                    self.ssh_port, self.rescue_port, self.listen_port
                ),
            ])
            .args(["-device", "virtio-net-pci,netdev=n0,romfile="])
            .args(["-display", "none"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors);
        if self.monitor {
            let socket = format!("unix:{},server=on,wait=off", text(&self.monitor_socket()));
            qemu.args(["-no-shutdown", "-monitor", &socket]);
        } else {
            qemu.args(["-monitor", "none"]);
        }
        if !self.warm_reboots {
            qemu.arg("-no-reboot");
        }
        let second = if self.second_port {
            format!("file:{}", text(&self.second_port_file()))
        } else {
            "null".to_owned()
        };
        for port in self.kind.serial_ports(&second) {
            qemu.args(["-serial", port]);
        }
        qemu.args(&self.options);
        for device in &self.devices {
            qemu.args(["-device", device]);
        }
        if self.initrd().exists() {
            qemu.args(["-initrd", text(&self.initrd())]);
        }
        if disk.exists() {
            qemu.args(["-drive", &format!("if=none,id=d0,format=raw,file={}", text(disk))])
                .args(["-device", "virtio-blk-pci,drive=d0"]);
        }
        qemu.spawn().unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Switches the box on and waits until firmware `letter` has come up and its shell answers.
    pub fn boot(&mut self, letter: char) {
        if let Err(refusal) = self.power_on() {
            panic!("the boot loader of {} refuses its kernel: {refusal}", self.name);
        }
        self.comes_up(letter);
    }

    /// Switches the box on with a system from a disk, which starts firmware `letter` by itself.
    pub fn boot_installer(&mut self, installer: &Rescue, letter: char) {
        self.start_from_disk(installer);
        self.comes_up(letter);
    }

    fn start_from_disk(&mut self, rescue: &Rescue) {
        // The last word for each of these counts.
        self.append = "root=/dev/vda rootfstype=ext2 ro init=/init".into();
        self.start(&rescue.kernel, &rescue.disk);
    }

    /// Switches the box on with a kernel and a root of their own, whatever is in the flash.
    pub fn boot_rescue(&mut self, rescue: &Rescue) {
        self.start_from_disk(rescue);
        self.expect("LAB-RESCUE", patience(120));
        self.expect(PROMPT, patience(60));
    }

    /// Switches a box on whose init is a shell (`append("init=/bin/sh")`), and does what the real init would do first.
    pub fn boot_to_shell(&mut self) {
        if let Err(refusal) = self.power_on() {
            panic!("the boot loader of {} refuses its kernel: {refusal}", self.name);
        }
        self.expect(PROMPT, patience(120));
        self.must("/etc/init.d/rcS");
    }

    /// Waits until firmware `letter` has come up and its shell answers.
    pub fn comes_up(&mut self, letter: char) {
        self.expect(&banner(letter), patience(120));
        self.shell_answers();
    }

    /// Waits until firmware `letter` runs anew, by a restart of init or of the whole box.
    pub fn comes_up_or_reboots(&mut self, letter: char) {
        match self.console.expect(&banner(letter), patience(180)) {
            Ok(_) => self.shell_answers(),
            Err(why) => {
                assert!(!self.is_on(), "{}: {why}", self.name);
                self.wait_exit(patience(10));
                self.boot(letter);
            }
        }
    }

    /// Waits until the shell answers and nobody else prints between.
    fn shell_answers(&mut self) {
        if let Err(why) = self.console.expect_both(PROMPT, INIT_IS_QUIET, patience(60)) {
            panic!("{}: {why}", self.name);
        }
    }

    /// Waits for `pattern` on the console and returns what came before it.
    pub fn expect(&mut self, pattern: &str, timeout: Duration) -> String {
        match self.console.expect(pattern, timeout) {
            Ok(before) => before,
            Err(why) => panic!("{}: {why}", self.name),
        }
    }

    /// Types a line on the console.
    pub fn send_line(&mut self, line: &str) {
        if let Err(error) = self.console.send_line(line) {
            panic!("{}: {line:?} cannot be typed: {error}", self.name);
        }
    }

    /// Runs a command in the console's shell, and returns its exit status and what it printed.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        self.send_line(&format!("{command}; echo lab:$?."));
        // First comes the echo of what was typed.
        self.expect("lab:$?.\r\n", patience(60));
        let output = self.expect("lab:", patience(300));
        let status = self.expect(".\r\n", patience(10));
        let status = status
            .parse()
            .unwrap_or_else(|_| panic!("{}: no exit status: {status}", self.name));
        // What is typed before the prompt is there gets mixed with it.
        self.expect(PROMPT, patience(60));
        (status, output)
    }

    /// Runs a command and insists on its success.
    pub fn must(&mut self, command: &str) -> String {
        let (status, output) = self.run(command);
        assert_eq!(status, 0, "{}: {command}:\n{output}", self.name);
        output
    }

    /// Waits until the box has rebooted or switched itself off; it is off then.
    pub fn wait_exit(&mut self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        loop {
            match self.qemu.as_mut().map(Child::try_wait) {
                Some(Ok(None)) => assert!(
                    Instant::now() < deadline,
                    "{}: no reboot within {timeout:?}; the console ends with:\n{}",
                    self.name,
                    self.last_words(),
                ),
                Some(Ok(Some(_))) => break,
                other => panic!("{}: {other:?}", self.name),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.qemu = None;
        self.console.note("the box went down");
    }

    /// Whether the box is on.
    pub fn is_on(&mut self) -> bool {
        matches!(self.qemu.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// How long the workstation's processors have worked for the box since it was switched on.
    pub fn worked(&self) -> Duration {
        let id = self.qemu.as_ref().expect("a box that is on").id();
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("QEMU runs");
        // The 14th and 15th field, in hundredths of a second; the second is a name in brackets.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("a number"))
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Pulls the plug. The flash keeps exactly what it had at that moment.
    pub fn power_cut(&mut self) {
        self.kill();
        self.console.note("power cut");
    }

    fn kill(&mut self) {
        if let Some(mut qemu) = self.qemu.take() {
            // SIGKILL; an error means that it had ended by itself.
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
    }

    /// Everything the console showed so far.
    pub fn transcript(&self) -> String {
        self.console.transcript()
    }

    fn last_words(&self) -> String {
        let transcript = self.transcript();
        let lines: Vec<&str> = transcript.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// The chip's content at this moment.
    pub fn flash(&self) -> Vec<u8> {
        read(&self.flash_file())
    }

    /// Puts this content into the chip of a box that is off.
    pub fn set_flash(&mut self, content: &[u8]) {
        assert!(self.qemu.is_none(), "{} is on", self.name);
        write(&self.flash_file(), content);
    }

    /// What the box has sent to its second serial port since it was switched on.
    pub fn heard(&self) -> Vec<u8> {
        read(&self.second_port_file())
    }

    /// Lets the workstation in: puts its public key below this directory, as `Keys::authorize` does.
    pub fn authorize(&self, config: &Path) {
        self.keys.authorize(config);
    }

    /// The workstation's side of the network.
    pub fn ssh(&self) -> super::ssh::Ssh<'_> {
        self.keys.to_port(self.ssh_port)
    }

    /// The workstation's port that leads to the one at which the box in the rescue takes an image.
    pub fn rescue_port(&self) -> u16 {
        self.rescue_port
    }

    /// The workstation's port that leads to the one at which the box lets itself be followed.
    pub fn listen_port(&self) -> u16 {
        self.listen_port
    }

    fn flash_file(&self) -> PathBuf {
        self.dir.path().join("flash.bin")
    }

    fn monitor_socket(&self) -> PathBuf {
        self.dir.path().join("monitor")
    }

    fn second_port_file(&self) -> PathBuf {
        self.dir.path().join("second-port")
    }

    fn initrd(&self) -> PathBuf {
        self.dir.path().join("initrd")
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("data.img")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lab/{}.console", self.name));
            // A failing test must not turn into an abort by a second panic.
            let saved = std::fs::create_dir_all(file.with_file_name(""))
                .and_then(|()| std::fs::write(&file, self.transcript()));
            match saved {
                Ok(()) => eprintln!("the console of {} is in {}", self.name, file.display()),
                Err(error) => eprintln!("{}: {error}", file.display()),
            }
        }
    }
}

fn banner(letter: char) -> String {
    format!("LAB-FIRMWARE {letter} ")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on the loopback interface")
        .port()
}
