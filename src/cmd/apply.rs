//! `apply IMAGE`, `plan IMAGE` and `restore DIR`: everything before the first erase is decided here.

#![forbid(unsafe_code)]

use super::at_work::{Done, Work};
use super::handoff::{self, Job};
use crate::board::{Board, Partition, Proof, Seat};
use crate::cli::{self, Keep, Trust};
use crate::error::{Context, Exit, Failure, Harm, Result};
use crate::flash::{self, Policy, Stopped, Tally, Verified};
use crate::image::backup::Backup;
use crate::image::pieces::Pieces;
use crate::image::signature::{self, Key};
use crate::image::source::Source;
use crate::image::unpacked_pat::UnpackedPat;
use crate::image::{self, Image, store::Store};
use crate::keep::{self, Fate, Task};
use crate::lock::Lock;
use crate::plan::{self, Plan, Request, Route, Write};
use crate::preflight::{self, MORE_ROOM, OVERHEAD, Question};
use crate::record;
use crate::report::{Outcome, Reporter};
use crate::slots;
use crate::units::Size;
use stages::RamRoot;
use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// What the operand names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// An image.
    Image,
    /// The directory of a backup.
    Backup,
    /// The directory into which a `.pat` was unpacked.
    Pat,
}

/// How an `apply` ends well.
pub(super) struct End {
    pub(super) code: &'static str,
    pub(super) harm: Harm,
    pub(super) tally: Tally,
    pub(super) kept: Option<Fate>,
}

impl End {
    pub(super) fn untouched(code: &'static str) -> End {
        End {
            code,
            harm: Harm::Untouched,
            tally: Tally::default(),
            kept: None,
        }
    }
}

/// How it ends otherwise.
pub(super) struct Broken {
    pub(super) failure: Failure,
    pub(super) tally: Tally,
}

impl std::convert::From<Failure> for Broken {
    fn from(failure: Failure) -> Broken {
        Broken {
            failure,
            tally: Tally::default(),
        }
    }
}

/// Runs the verb and reports its outcome.
///
/// # Errors
/// What was reported.
pub fn run(options: cli::Apply, from: From, reporter: &mut Reporter) -> Result<Exit> {
    if options.dry_run {
        return dry_run(&options, from, reporter);
    }
    reporter.events = true;
    reporter.reach("begun");
    let result = attempt(&options, from, reporter);
    report(result, reporter)
}

/// Reports how it ended, as the last event.
pub(super) fn report(result: std::result::Result<End, Broken>, reporter: &mut Reporter) -> Result<Exit> {
    let outcome = match &result {
        Ok(end) => Outcome {
            ok: true,
            exit: Exit::Done,
            harm: end.harm,
            code: end.code.into(),
            tally: end.tally,
            kept: end.kept.clone(),
        },
        Err(broken) => {
            reporter.failure(&broken.failure);
            Outcome {
                ok: false,
                exit: broken.failure.exit,
                harm: broken.failure.harm,
                code: broken.failure.code.into(),
                tally: broken.tally,
                kept: None,
            }
        }
    };
    reporter.outcome(&outcome);
    match result {
        Ok(_) => Ok(Exit::Done),
        Err(broken) => Err(broken.failure),
    }
}

/// Prints the plan. The exit code is that of the refusal `apply` would end with.
fn dry_run(options: &cli::Apply, from: From, reporter: &mut Reporter) -> Result<Exit> {
    let plan = (|| {
        let board = begin(options)?;
        let available = match board.is_sim() {
            true => Some(board.profile.ram),
            false => stages::memory::available(),
        };
        let looked = Looked::at(options, &board, from, available)?;
        let mut plan = looked.plan(&board, options, available, &mut |writes| {
            survey(&board, writes, &looked.store, reporter)
        })?;
        keep::judge(&board, &options.files, &options.force, &looked.store, &mut plan)?;
        looked.hash(&mut plan, reporter)?;
        Ok(plan)
    })();
    let plan = match plan {
        Ok(plan) => plan,
        Err(failure) => {
            reporter.failure(&failure);
            return Err(failure);
        }
    };
    match reporter.json() {
        true => reporter.object(&plan),
        false => reporter.plan(&plan),
    }
    match preflight::refusal(&plan) {
        None => Ok(Exit::Done),
        Some(refusal) => {
            if !reporter.json() {
                reporter.failure(&refusal);
            }
            Err(refusal)
        }
    }
}

/// What every run needs before it looks at an image.
fn begin(options: &cli::Apply) -> Result<Board> {
    preflight::known_checks(&options.force)?;
    preflight::root(options.at.sim.is_some())?;
    let board = Board::discover(&options.at)?;
    preflight::usable(&board)?;
    Ok(board)
}

fn attempt(options: &cli::Apply, from: From, reporter: &mut Reporter) -> std::result::Result<End, Broken> {
    let terminal = io::stdin().is_terminal() && options.image != "-";
    if !options.yes && !terminal {
        return Err(Failure::usage("standard input is no terminal, so nobody can be asked")
            .hint("add --yes")
            .into());
    }
    let board = begin(options)?;
    match &board.seat {
        Seat::Sim(sim) => {
            let lock = Lock::of_sim(&sim.dir)?;
            let looked = Looked::into_memory(options, &board, from)?;
            let plan = decide(&board, &looked, options, Some(board.profile.ram), reporter)?;
            match plan {
                None => Ok(End::untouched("nothing-to-do")),
                Some(plan) => {
                    let files = save(&plan, options, &sim.dir)?;
                    write_now(
                        &board,
                        &plan,
                        &looked.store,
                        options.keep,
                        (files, &sim.dir),
                        &Proof::Sim(lock),
                        reporter,
                    )
                }
            }
        }
        Seat::Linux => on_this_box(&board, options, from, reporter),
    }
}

fn on_this_box(
    board: &Board,
    options: &cli::Apply,
    from: From,
    reporter: &mut Reporter,
) -> std::result::Result<End, Broken> {
    let _lock = Lock::of_this_box()?;
    let available = stages::memory::available();
    let root = RamRoot::create().map_err(Failure::system)?;
    let looked = Looked::into_ram_root(options, board, from, root.path(), available, reporter)?;
    let Some(plan) = decide(board, &looked, options, available, reporter)? else {
        return Ok(End::untouched("nothing-to-do"));
    };
    match plan.route {
        Route::InPlace => {
            let files = save(&plan, options, root.path())?;
            let end = in_place(
                board,
                &plan,
                &looked.store,
                options.keep,
                (files, root.path()),
                reporter,
            )?;
            drop((looked, root));
            if !options.no_reboot {
                reporter.stage("rebooting into the new firmware");
                stages::power::reboot_in_place();
            }
            Ok(end)
        }
        Route::Staged => Ok(staged(board, (plan, &looked), options, root, reporter)?),
    }
}

/// Plan, verdict, consent, backup. `None` when there is nothing to do.
fn decide(
    board: &Board,
    looked: &Looked,
    options: &cli::Apply,
    available: Option<u64>,
    reporter: &mut Reporter,
) -> Result<Option<Plan>> {
    let mut plan = looked.plan(board, options, available, &mut |writes| {
        survey(board, writes, &looked.store, reporter)
    })?;
    keep::judge(board, &options.files, &options.force, &looked.store, &mut plan)?;
    // What is on the flash already was found by comparing all of it.
    if !plan.nothing_to_do() {
        looked.hash(&mut plan, reporter)?;
    }
    reporter.plan(&plan);
    if let Some(refusal) = preflight::refusal(&plan) {
        return Err(refusal);
    }
    if plan.nothing_to_do() {
        reporter.stage("the flash is as the image wants it: nothing to do");
        return Ok(None);
    }
    if !options.yes {
        ask(&plan)?;
    }
    if let Some(dir) = &options.backup {
        // Volumes are in the copies of what they lie on.
        let all: Vec<_> = board.partitions.iter().filter(|p| p.volume.is_none()).collect();
        super::backup::copy(board, &all, dir, reporter)?;
        reporter.stage(format_args!("backup: {}", dir.display()));
    }
    Ok(Some(plan))
}

fn ask(plan: &Plan) -> Result<()> {
    let names: Vec<_> = plan.writes.iter().map(|write| write.partition.as_str()).collect();
    let mut out = io::stdout();
    let _ = write!(out, "Write {}? [y/N] ", names.join(", "));
    let _ = out.flush();
    let mut answer = String::new();
    let _ = io::stdin().read_line(&mut answer);
    match ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        true => Ok(()),
        false => Err(Failure::new(Exit::Refused, "declined", "not confirmed")),
    }
}

fn in_place(
    board: &Board,
    plan: &Plan,
    store: &Store,
    keep: Keep,
    files: (Option<Task>, &Path),
    reporter: &mut Reporter,
) -> std::result::Result<End, Broken> {
    stages::signals::ignore_hangups();
    if let Err(error) = stages::memory::protect() {
        reporter.warning(format_args!("memory could not be locked: {error}"));
    }
    let targets = targets(board, &plan.touched(), files.0.as_ref());
    let proof = stages::prove_unheld_in_place(&targets).map_err(|holders| held(&holders))?;
    write_now(board, plan, store, keep, files, &Proof::Unheld(proof), reporter)
}

/// Saves what the plan keeps.
fn save(plan: &Plan, options: &cli::Apply, directory: &Path) -> Result<Option<Task>> {
    plan.keep
        .as_ref()
        .map(|keeping| keep::save(keeping, directory, options.backup.as_deref()))
        .transpose()
}

/// The partitions that will be written, the record's among them.
pub(super) fn targets(board: &Board, writes: &[Write], files: Option<&Task>) -> Vec<stages::MtdTarget> {
    let record = record::partition(board).map(|partition| partition.mtd);
    let files = files.and_then(Task::write);
    let mut targets = board.targets(
        board
            .partitions
            .iter()
            .filter(|partition| writes.iter().chain(files).any(|write| write.mtd == partition.mtd)),
    );
    // A record's partition that is in use is not written, and no reason against the update.
    let record = board.targets(
        board
            .partitions
            .iter()
            .filter(|partition| record == Some(partition.mtd)),
    );
    if stages::holders(&record).is_ok_and(|holders| holders.is_empty()) {
        targets.extend(record);
    }
    targets
}

/// What is said when the proof fails.
pub(super) fn held(holders: &[stages::Holder]) -> Failure {
    let names: Vec<_> = holders.iter().map(ToString::to_string).collect();
    Failure::new(
        Exit::Busy,
        "held",
        format_args!("the flash is in use: {}", names.join("; ")),
    )
    .hint("end that use and try again")
}

fn write_now(
    board: &Board,
    plan: &Plan,
    store: &Store,
    keep: Keep,
    (files, directory): (Option<Task>, &Path),
    proof: &Proof,
    reporter: &mut Reporter,
) -> std::result::Result<End, Broken> {
    let policy = policy(board, &plan.image.sha256, keep, reporter);
    let work = Work {
        board,
        writes: &plan.writes,
        sha256: &plan.image.sha256,
        store,
        policy,
        proof,
        change: plan.slot.as_ref().map(|slot| &slot.environment),
        slot: plan.slot.as_ref(),
        files: files.as_ref(),
        directory,
    };
    match work.run(reporter) {
        Ok(Done {
            verified: Verified { tally, .. },
            kept,
        }) => {
            reporter.stage(format_args!("written and verified: {tally}"));
            Ok(End {
                code: "written",
                harm: Harm::Written,
                tally,
                kept,
            })
        }
        Err(Stopped { failure, tally }) => Err(Broken { failure, tally }),
    }
}

/// Says whether this run goes on where another stopped, and how faults are met. What is right already is found by
/// comparing, not by believing the record.
pub(super) fn policy(board: &Board, sha256: &str, options: Keep, reporter: &mut Reporter) -> Policy {
    let interrupted = record::load(board).ok().filter(|last| last.harm == Harm::Partly);
    if let Some(last) = &interrupted {
        let same = last.image_sha256.as_deref() == Some(sha256);
        reporter.stage(format_args!(
            "the last update, {}, was interrupted{}",
            last.finished.as_deref().unwrap_or("some time ago"),
            if same {
                ": this one goes on where it stopped"
            } else {
                "; this one is of another image"
            }
        ));
    }
    // What an interrupted update left is nothing to go back to.
    let keep_old = match options.rollback && interrupted.is_none() {
        true => stages::memory::available()
            .unwrap_or_default()
            .saturating_sub(2 * OVERHEAD),
        false => 0,
    };
    Policy {
        keep_old,
        mark_bad: options.mark_bad,
    }
}

/// Hands the plan to PID 1.
fn staged(
    board: &Board,
    (plan, looked): (Plan, &Looked),
    options: &cli::Apply,
    root: RamRoot,
    reporter: &mut Reporter,
) -> Result<End> {
    let files = save(&plan, options, root.path())?;
    reporter.reach("checked");
    let nodes: Vec<_> = board
        .partitions
        .iter()
        .flat_map(Partition::nodes)
        .chain(signal_port(board))
        .chain(files.as_ref().and_then(Task::node))
        .collect();
    let shell = match options.rescue_shell {
        true => Some(find_busybox()?),
        false => None,
    };
    let named = handoff::board(root.path(), &board.profile, options.at.board.as_deref())?;
    let again = again(options, named.as_deref().unwrap_or_default(), root.path())?;
    let job = Job {
        writes: plan.writes,
        sha256: plan.image.sha256,
        packing: looked.image.packing,
        board: named,
        keep: options.keep,
        files,
        reached: reporter.reached.clone(),
        again,
    };
    let mut handoff = job.pack()?;
    // The image's comes first: the link to it says so.
    for disk in looked.disk.clone().into_iter().chain(record::disks()) {
        let disk = disk.display().to_string();
        if !handoff.disks.contains(&disk) {
            handoff.disks.push(disk);
        }
    }
    let populated = root
        .populate(&stages::Populate {
            handoff: &handoff,
            device_nodes: &nodes,
            rescue_shell: shell.as_deref().map(Path::new),
        })
        .map_err(Failure::system)?;
    if options.prepare {
        stages::prepare(populated).map_err(Failure::system)?;
        reporter.stage("prepared: kill -QUIT 1 starts it, if init's restart line is flasher");
        return Ok(End::untouched("prepared"));
    }
    stages::take_over(populated, &mut |event| reporter.stage(event))
        .map_err(|error| Failure::system(error).hint("the box runs on as before; flasher devices says what it is"))?;
    reporter.stage(
        "handed over: this connection ends now; the box writes its flash, verifies it and reboots by itself; \
         afterwards: flasher status",
    );
    Ok(End::untouched("handed-over"))
}

/// What the rescue starts for an image that comes over the network; nothing without a key. The key comes along.
fn again(options: &cli::Apply, board: &str, root: &Path) -> Result<Vec<String>> {
    let Some(key) = options.trust.key.as_ref().filter(|_| cfg!(feature = "rescue")) else {
        return Ok(Vec::new());
    };
    std::fs::copy(key, root.join("key")).context(key.display())?;
    let mut words = vec!["/flasher", "apply", "-y", "--key", "/key"];
    let (parts, force) = (options.parts.join(","), options.force.join(","));
    let valued = [("--part", parts.as_str()), ("--force", &force), ("--board", board)];
    for (flag, value) in valued.into_iter().filter(|(_, value)| !value.is_empty()) {
        words.extend([flag, value]);
    }
    let given = [
        (!options.keep.rollback, "--no-rollback"),
        (options.keep.mark_bad, "--mark-bad"),
    ];
    words.extend(given.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag));
    words.push("-");
    Ok(words.into_iter().map(str::to_owned).collect())
}

/// The serial port of LEDs and buzzer, for boxes whose `/dev` does not come along. Its numbers are those of the node
/// that is there: every driver has its own.
fn signal_port(board: &Board) -> Option<stages::DeviceNode> {
    let port = board.profile.signals.as_ref()?.port.as_ref()?;
    let name = port.strip_prefix("/dev/").filter(|name| !name.contains('/'))?;
    let node = std::fs::metadata(port).ok()?;
    let number = |part: u64| u32::try_from(part).ok();
    node.file_type().is_char_device().then_some(stages::DeviceNode {
        name: name.to_owned(),
        block: false,
        major: number(nix::sys::stat::major(node.rdev()))?,
        minor: number(nix::sys::stat::minor(node.rdev()))?,
    })
}

fn find_busybox() -> Result<String> {
    ["/bin/busybox", "/sbin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .map(str::to_owned)
        .ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                "rescue-shell",
                "there is no busybox to keep for a rescue shell",
            )
            .hint("leave --rescue-shell out")
        })
}

/// Fills in what is right already.
///
/// # Errors
/// Flash that cannot be read.
pub(super) fn survey(board: &Board, writes: &mut [Write], store: &Store, reporter: &mut Reporter) -> Result<()> {
    let total = writes.iter().map(Write::bytes).sum();
    flash::survey(
        writes,
        store,
        |write| {
            let partition = board.partition(&format!("mtd{}", write.mtd)).map_err(Failure::system)?;
            board.open(partition)
        },
        |done| reporter.progress("comparing", done, total),
    )
}

/// An image that is at hand.
pub(super) struct Looked {
    name: String,
    image: Image,
    pub(super) store: Store,
    /// What stood behind an image that came by standard input.
    signature: Option<String>,
    /// The mount point of the disk on which the image stays, because RAM is short.
    disk: Option<PathBuf>,
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(Exit::ImageUnreadable, "image-unreadable", error)
}

/// The image. It is hashed on its way where its checksum decides whether it is taken, and later where it is written.
fn source(options: &cli::Apply) -> Result<Source> {
    let source = Source::open(&options.image)?;
    Ok(match options.trust.sha256 {
        Some(_) => source,
        None => source.unhashed(),
    })
}

/// The directory, where the operand names one.
fn pieces(options: &cli::Apply, from: From) -> Result<Option<Pieces>> {
    let dir = Path::new(&options.image);
    Ok(match from {
        From::Image => None,
        From::Backup => Some(Pieces::Backup(Backup::open(dir)?)),
        From::Pat => Some(Pieces::Pat(UnpackedPat::open(dir)?)),
    })
}

impl Looked {
    /// Only to be looked at: a file stays where it is.
    pub(super) fn at(options: &cli::Apply, board: &Board, from: From, available: Option<u64>) -> Result<Looked> {
        if from != From::Image {
            return Looked::into_memory(options, board, from);
        }
        if !board.is_sim()
            && let Some((_, _, file)) = stays(options, available)
        {
            let (store, sha256) = file.on_disk(&mut |_| ())?;
            return Looked::finish(options, board, store, sha256);
        }
        let (store, sha256) = source(options)?.in_place()?;
        Looked::finish(options, board, store, sha256)
    }

    /// To be written to a simulated box.
    fn into_memory(options: &cli::Apply, board: &Board, from: From) -> Result<Looked> {
        if let Some(pieces) = pieces(options, from)? {
            let mut bytes = Vec::new();
            let image = pieces.copy(&mut bytes, &mut |_| ())?;
            return Ok(Looked {
                name: options.image.clone(),
                image,
                store: Store::Memory(bytes),
                signature: None,
                disk: None,
            });
        }
        let (store, sha256) = source(options)?.into_memory()?;
        Looked::finish(options, board, store, sha256)
    }

    /// To be written to this box: the one copy that is hashed, checked, and written (law 3).
    fn into_ram_root(
        options: &cli::Apply,
        board: &Board,
        from: From,
        root: &Path,
        available: Option<u64>,
        reporter: &mut Reporter,
    ) -> Result<Looked> {
        let path = handoff::image_path(root);
        if from == From::Image
            && let Some((disk, file, source)) = stays(options, available)
        {
            reporter.stage(format_args!("RAM is short: the image stays on {}", disk.display()));
            // Where PID 1 finds it.
            symlink(Path::new(&stages::moved(0)).join(file), &path).context(path.display())?;
            let length = source.length().unwrap_or_default();
            let (store, sha256) = source.on_disk(&mut |done| reporter.progress("reading", done, length))?;
            let mut looked = Looked::finish(options, board, store, sha256)?;
            looked.disk = Some(disk);
            return Ok(looked);
        }
        let mut file = File::create_new(&path).context(path.display())?;
        let mut sink = Budget {
            file: &mut file,
            written: 0,
        };
        if let Some(pieces) = pieces(options, from)? {
            let length = pieces.length()?;
            room_for(length, available)?;
            let image = pieces.copy(&mut sink, &mut |done| reporter.progress("reading", done, length))?;
            return Ok(Looked {
                name: options.image.clone(),
                image,
                store: Store::file(File::open(&path).context(path.display())?).map_err(unreadable)?,
                signature: None,
                disk: None,
            });
        }
        let source = source(options)?;
        let length = source.length();
        room_for(length.unwrap_or_default(), available)?;
        let (_, sha256) = source.copy(&mut sink, &mut |done| {
            reporter.progress("reading", done, length.unwrap_or(done.saturating_add(1)));
        })?;
        // For writing too: a signature behind it is cut off.
        let opened = File::options().read(true).write(true).open(&path);
        let store = Store::file(opened.context(path.display())?).map_err(unreadable)?;
        Looked::finish(options, board, store, sha256)
    }

    fn finish(options: &cli::Apply, board: &Board, mut store: Store, mut sha256: String) -> Result<Looked> {
        let mut signature = None;
        if let (Some(key), "-", true) = (&options.trust.key, options.image.as_str(), cfg!(feature = "rescue")) {
            signature = signature::take_off(&mut store)?;
            // It may come from anybody: it is not looked into before.
            Key::read(key)?.verify("-", signature.as_deref(), &store)?;
            sha256 = store.sha256(&mut |_| ()).map_err(unreadable)?;
        }
        // One byte more than the box can hold is too much already.
        let room = board.partitions.iter().map(Partition::capacity).sum();
        let (store, image) = image::open(store, sha256, room).map_err(unreadable)?;
        Ok(Looked {
            name: options.image.clone(),
            image,
            store,
            signature,
            disk: None,
        })
    }

    /// Gives the plan the image's checksum, if that was left for later: that of the bytes in RAM, which will be written.
    fn hash(&self, plan: &mut Plan, reporter: &mut Reporter) -> Result<()> {
        if plan.image.sha256.is_empty() {
            let length = self.store.delivered().len();
            let sha256 = self
                .store
                .sha256(&mut |done| reporter.progress("hashing", done, length));
            plan.image.sha256 = sha256.map_err(unreadable)?;
        }
        Ok(())
    }

    /// The plan for it.
    pub(super) fn plan(
        &self,
        board: &Board,
        options: &cli::Apply,
        available: Option<u64>,
        survey: &mut dyn FnMut(&mut [Write]) -> Result<()>,
    ) -> Result<Plan> {
        let trust: &Trust = &options.trust;
        // A backup has both slots, and goes back as it is.
        let seen = match self.image.format.as_str() {
            "backup" => None,
            _ => slots::look(board, options.env_config.as_deref()),
        };
        let running = seen.as_ref().and_then(|seen| Some(seen.as_ref().ok()?.active));
        let question = Question {
            name: &self.name,
            request: Request {
                parts: options.parts.clone(),
                force: options.force.clone(),
                slot: running.map(|active| 1 - active),
            },
            slot: seen.as_ref(),
            trust,
            signature: self.signature.as_deref(),
            backup: options.backup.is_some(),
            in_place: options.in_place,
            rollback: options.keep.rollback,
            available,
        };
        let mut plan = preflight::assemble(board, &self.image, &self.store, &question, survey)?;
        if let Some(active) = running {
            let here = Request {
                slot: running,
                parts: options.parts.clone(),
                ..Request::default()
            };
            let mut same = slots::same(board, active, &plan, || {
                plan::layout(board, &self.image, &here).unwrap_or_default()
            });
            survey(&mut same)?;
            if !same.is_empty() && same.iter().all(|write| write.unchanged == Some(write.erase_blocks)) {
                slots::drop_writes(&mut plan);
            }
        }
        Ok(plan)
    }
}

/// The disk on which the image stays, and its path there: where RAM is short and nothing of flash is below it. What runs
/// between `--prepare` and the takeover may unmount it.
fn stays(options: &cli::Apply, available: Option<u64>) -> Option<(PathBuf, PathBuf, Source)> {
    // A URL or standard input is opened only once.
    let file = cfg!(feature = "disk") && !options.prepare && Path::new(&options.image).is_file();
    let source = file.then(|| Source::open(&options.image).ok())??;
    let short = available? < source.length()? + OVERHEAD;
    let (disk, file) = source.disk().filter(|_| short)?;
    Some((disk, file, source))
}

/// Refuses before RAM is filled in vain.
fn room_for(length: u64, available: Option<u64>) -> Result<()> {
    match available {
        Some(available) if available < length + OVERHEAD => Err(no_room(length, available)),
        _ => Ok(()),
    }
}

fn no_room(length: u64, available: u64) -> Failure {
    Failure::new(
        Exit::Refused,
        "ram",
        format_args!(
            "refused by check ram: the update needs {} of RAM (image and {}), {} are available",
            Size(length + OVERHEAD),
            Size(OVERHEAD),
            Size(available)
        ),
    )
    .hint(MORE_ROOM)
}

/// A sink that stops before the out-of-memory killer starts: pages of a tmpfs belong to no process, so it
/// would kill the wrong ones (pain 6 in FACTS).
struct Budget<'a> {
    file: &'a mut File,
    written: u64,
}

impl io::Write for Budget<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const STRIDE: u64 = 1 << 20;
        let crossed = self.written / STRIDE != (self.written + bytes.len() as u64) / STRIDE;
        if crossed && stages::memory::available().is_some_and(|available| available < OVERHEAD) {
            return Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("less than {} are left", Size(OVERHEAD)),
            ));
        }
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
