//! The way by a takeover: what PID 1 will need is put into the RAM root, and stage one begins.

#![forbid(unsafe_code)]

use crate::base::code::Code;
use crate::base::error::{Context, Failure, Result};
use crate::base::outcome::Outcome;
use crate::board::profile::GENERIC;
use crate::board::{Board, Partition};
use crate::checks::Signature;
use crate::cli::Apply;
use crate::image::Unpacking;
use crate::image::signature::{KEYS, Signed};
use crate::keep::Task;
use crate::record;
use crate::report::Reporter;
use crate::report::listen::Door;
use crate::update::execute::left_partly;
use crate::update::handoff::Job;
use crate::update::in_place::{on_fault, save};
use crate::update::prepare::Prepared;
use crate::update::staged::StagedImage;
use crate::update::{Run, busybox, handoff};
use stages::RamRoot;
use std::path::Path;

/// Hands the plan to PID 1.
pub(super) fn take_over(
    run: Run<'_>,
    prepared: Prepared,
    staged: &StagedImage,
    root: RamRoot,
    reporter: &mut Reporter,
) -> Result<Outcome> {
    let Run {
        board,
        keys,
        options,
        door,
    } = run;
    let Prepared { plan, versions, .. } = prepared;
    let files = save(&plan, options, root.path())?;
    reporter.reach("checked");
    let nodes: Vec<_> = board
        .partitions
        .iter()
        .flat_map(Partition::nodes)
        .chain(signal_port(&board))
        .chain(files.as_ref().and_then(Task::node))
        .collect();
    let shell = match options.rescue_shell {
        true => Some(busybox::find()?),
        false => None,
    };
    let named = handoff::board(root.path(), &board, options.at.board.as_deref())?;
    // Whoever tries again from the rescue needs the same keys, and the signature of the image that is there.
    if !keys.is_empty() {
        keys.save(&root.path().join(KEYS.trim_start_matches('/')))?;
        signatures(staged, root.path())?;
    }
    let again = match options.rescue_network && options.files.is_empty() {
        // That a box is none of those that are known is only for its user to say.
        true => {
            let said = |id: &&str| *id != GENERIC || options.at.board.is_some();
            again(options, named.as_deref().filter(said).unwrap_or_default())
        }
        false => Vec::new(),
    };
    if let Some(door) = &door {
        reporter.listening(door);
    }
    let partly = left_partly(&board);
    let job = Job {
        writes: plan.steps.into_iter().map(|step| step.write).collect(),
        sha256: plan.image.sha256,
        versions,
        packings: staged.files.iter().map(|file| file.packing).collect(),
        stamps: staged
            .files
            .iter()
            .map(|file| file.stamp.filter(|_| !options.prepare))
            .collect(),
        members: staged.members.clone(),
        board: named,
        on_fault: on_fault(options.on_fault, partly || plan.volumes.is_some()),
        partly,
        volumes: plan.volumes,
        files,
        // Process 1 opens the port anew.
        listen: door.map(Door::close),
        reached: reporter.reached.clone(),
        again,
    };
    let mut handoff = job.pack()?;
    // The image's comes first: the link to it says so.
    for disk in staged.disks.iter().cloned().chain(record::disks()) {
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
        .map_err(failed)?;
    if options.prepare {
        stages::prepare(populated).map_err(failed)?;
        reporter.result("prepared: kill -QUIT 1 starts it, if init's restart line is flasher");
        return Ok(Outcome::untouched(Code::Prepared));
    }
    stages::take_over(populated, &mut |event| reporter.stage(event)).map_err(failed)?;
    reporter.result(
        "handed over: this connection ends now; the box writes its flash, verifies it and reboots by itself; \
         afterwards: flasher status",
    );
    Ok(Outcome::untouched(Code::HandedOver))
}

/// The failure of a step of stage one, which has been undone.
pub(super) fn failed(error: stages::Error) -> Failure {
    let next = match error.left_behind().is_empty() {
        true => ["the box runs on as before; ", error.remedy()].concat(),
        false => error.remedy().to_owned(),
    };
    Failure::system(error).hint(next)
}

/// Puts the signature of each file beside it.
fn signatures(staged: &StagedImage, root: &Path) -> Result<()> {
    for (index, file) in staged.files.iter().enumerate() {
        let Signature::Right(Signed {
            file: Some((suffix, text)),
            ..
        }) = &file.signature
        else {
            continue;
        };
        let mut path = handoff::image_path(root, index).into_os_string();
        path.push(suffix);
        std::fs::write(&path, text).context(Path::new(&path).display())?;
    }
    Ok(())
}

/// What the rescue starts for an image that comes over the network. It has the keys of the first time, and takes nothing that is
/// not signed.
fn again(options: &Apply, board: &str) -> Vec<String> {
    let mut words = vec!["/flasher", "apply", "-y"];
    let force: Vec<_> = options.force.iter().map(|check| check.as_str()).collect();
    let parts: Vec<_> = options.parts.iter().map(ToString::to_string).collect();
    let (parts, force) = (parts.join(","), force.join(","));
    let valued = [("--part", parts.as_str()), ("--force", &force), ("--board", board)];
    for (flag, value) in valued.into_iter().filter(|(_, value)| !value.is_empty()) {
        words.extend([flag, value]);
    }
    let given = [
        (!options.on_fault.rollback, "--no-rollback"),
        (options.on_fault.mark_bad, "--mark-bad"),
        (options.unpacking == Unpacking::Never, "--as-is"),
        (options.unpacking == Unpacking::Always, "--unpack"),
    ];
    words.extend(given.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag));
    words.push("-");
    words.into_iter().map(str::to_owned).collect()
}

/// The serial port of LEDs and buzzer, for boxes whose `/dev` does not come along.
fn signal_port(board: &Board) -> Option<stages::DeviceNode> {
    let port = board.profile.signals.as_ref()?.port.as_ref()?;
    stages::DeviceNode::like(port).filter(|node| !node.block)
}
