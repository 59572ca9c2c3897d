//! An update of a simulated box by everything but the command line, with faults on its chip from the first erase on.

use crate::simbox::SimBox;
use flasher::base::error::Failure;
use flasher::base::outcome::Outcome;
use flasher::board::lock::Lock;
use flasher::board::selector::Where;
use flasher::board::{Backend, Board, Proof};
use flasher::cli::Apply;
use flasher::flash::Policy;
use flasher::image::signature::Keyring;
use flasher::report::{Format, Global, Reporter, Verbosity};
use flasher::update::execute::Execution;
use flasher::update::in_place;
use flasher::update::prepare::{Purpose, Wanted, prepare};
use flasher::update::stage::{ImageSource, Staging};
use mtd_rs::Fault;

/// How an update ended, and whether the box still has power.
pub struct End {
    pub result: Result<Outcome, Failure>,
    pub power: bool,
}

/// `apply` of these bytes with these options.
pub fn update(sim: &SimBox, (options, image): (Apply, &[u8]), faults: &[Fault], policy: Policy) -> End {
    let at = Where {
        sim: Some(sim.path()),
        board: None,
    };
    let board = Board::discover(&at).unwrap();
    let Backend::Sim(backend) = &board.backend else {
        panic!("a simulated box");
    };
    let options = Apply {
        at,
        image: sim.file("image-of-this-run", image),
        ..options
    };
    let staging = Staging {
        options: &options,
        board: &board,
        from: ImageSource::Image,
        available: Some(board.profile.ram),
        keys: &Keyring::default(),
    };
    let mut reporter = Reporter::new(&Global {
        format: Format::Text,
        verbosity: Verbosity::Quiet,
    });
    let staged = staging.in_memory(&mut reporter).unwrap();
    let wanted = Wanted {
        board: &board,
        staged: &staged,
        options: &options,
        purpose: Purpose::Apply,
        volumes: None,
    };
    let prepared = prepare(&wanted, &mut reporter).unwrap();
    let plan = &prepared.plan;
    assert!(plan.valid, "{:?}", plan.checks);
    let files = in_place::save(plan, &options, &sim.path()).unwrap();
    faults.iter().for_each(|fault| backend.chip().inject(*fault));
    let work = Execution {
        partly: false,
        board: &board,
        steps: &plan.steps,
        sha256: &plan.image.sha256,
        versions: &prepared.versions,
        store: staged.store(),
        policy,
        proof: &Proof::Sim(Lock::of_sim(&sim.path()).unwrap()),
        change: prepared.change.as_ref(),
        slot: plan.slot.as_ref(),
        volumes: None,
        files: files.as_ref(),
        directory: &sim.path(),
    };
    End {
        result: work.run(&mut reporter).map_err(|stopped| stopped.failure),
        power: backend.chip().power(),
    }
}
