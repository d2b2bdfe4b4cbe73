//! Fault injection for tests at named points; compiled out without the feature `faults`.
//!
//! A list of faults such as `save-commit=abort@2,loss=nan@7` is set in the environment variable `SEQZOO_FAULTS`, or passed to `arm` for
//! one thread:
//!
//! | fault | effect |
//! |---|---|
//! | `POINT=abort@N` | aborts the process the N-th time the point is reached |
//! | `POINT=hang@N` | prints a line to standard error and hangs the N-th time |
//! | `POINT=error@N` | the operation fails like on a full disk the N-th time |
//! | `SITE=VALUE@N` | injects the value (`nan`, `inf`, `-inf`, `1e20`) at the first attempt on batch N |
//! | `SITE=VALUE@N+` | injects it at every attempt on batch N of each epoch; `@*`: on every batch |
//!
//! Batches are counted from 0, from the start of the epoch with `+` and from the start of the run without. With
//! `SEQZOO_FAULTS_TRACE=FILE`, the file contains the last point reached, so that tests know where a process was killed.

/// Points at which an operation can abort, hang or fail.
pub const POINTS: [&str; 12] = [
    "save-begin",
    "save-write",
    "save-manifest",
    "save-commit",
    "save-committed",
    "prune-remove",
    "load-read",
    "quarantine-rename",
    "journal-append",
    "metrics-truncate",
    "rollback-record",
    "rollback-load",
];

/// Sites at which a value can be injected.
pub const SITES: [&str; 7] = ["data", "activation", "loss", "gradient", "weights", "recurrent_state", "metric"];

#[cfg(not(feature = "faults"))]
mod points {
    /// Injects the fault for a point of [`super::POINTS`], if any.
    ///
    /// # Errors
    /// None without the feature `faults`.
    #[inline(always)]
    pub fn point(_: &'static str) -> std::io::Result<()> {
        Ok(())
    }

    /// The value injected at a site of [`super::SITES`]: none without the feature `faults`.
    #[inline(always)]
    pub fn value(_: &'static str) -> Option<f32> {
        None
    }

    /// Sets the current batch: its index in the run, its index in the epoch, and the attempt.
    #[inline(always)]
    pub fn set_batch(_global_batch: u64, _batch: u64, _attempt: u32) {}
}

#[cfg(feature = "faults")]
mod points {
    use std::cell::RefCell;
    use std::io;

    #[derive(Debug, Clone, PartialEq)]
    enum Action {
        Abort,
        Hang,
        Error,
        Value(f32),
    }

    #[derive(Debug, Clone, PartialEq)]
    enum When {
        /// The n-th time the point is reached, or the first attempt on batch n of the run.
        Once(u64),
        /// Every attempt on batch n of each epoch.
        EachEpoch(u64),
        Always,
    }

    #[derive(Debug, Clone, PartialEq)]
    struct Fault {
        target: String,
        action: Action,
        when: When,
        passed: u64,
        happened: bool,
    }

    #[derive(Debug, Default)]
    struct State {
        plan: Vec<Fault>,
        /// Index of the batch in the run, in the epoch, and attempt.
        moment: (u64, u64, u32),
        trace: Option<std::path::PathBuf>,
    }

    thread_local! {
        static STATE: RefCell<State> = RefCell::new(from_environment());
    }

    fn from_environment() -> State {
        let text = std::env::var("SEQZOO_FAULTS").unwrap_or_default();
        let plan = parse(&text).unwrap_or_else(|message| panic!("SEQZOO_FAULTS: {message}"));
        State { plan, trace: std::env::var_os("SEQZOO_FAULTS_TRACE").map(Into::into), ..State::default() }
    }

    fn parse(text: &str) -> Result<Vec<Fault>, String> {
        let fault = |text: &str| {
            let malformed = || format!("`{text}` does not have the form POINT=ACTION@WHEN or SITE=VALUE@WHEN");
            let (target, rest) = text.split_once('=').ok_or_else(malformed)?;
            let (action, when) = rest.split_once('@').ok_or_else(malformed)?;
            if !super::POINTS.contains(&target) && !super::SITES.contains(&target) {
                return Err(format!("no point or site `{target}`"));
            }
            let action = match action {
                "abort" => Action::Abort,
                "hang" => Action::Hang,
                "error" => Action::Error,
                value => Action::Value(value.parse().map_err(|_| malformed())?),
            };
            let number = |text: &str| text.parse().map_err(|_| malformed());
            let when = match (when, when.strip_suffix('+')) {
                ("*", _) => When::Always,
                (_, Some(batch)) => When::EachEpoch(number(batch)?),
                (once, None) => When::Once(number(once)?),
            };
            Ok(Fault { target: target.to_owned(), action, when, passed: 0, happened: false })
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(fault).collect()
    }

    /// Guard of the faults injected in this thread.
    #[derive(Debug)]
    pub struct FaultGuard(());

    /// Injects faults in this thread until the guard is dropped.
    ///
    /// # Errors
    /// If the list of faults cannot be parsed.
    pub fn arm(plan: &str) -> Result<FaultGuard, String> {
        let plan = parse(plan)?;
        STATE.with_borrow_mut(|state| state.plan = plan);
        Ok(FaultGuard(()))
    }

    impl FaultGuard {
        /// Whether every fault has been injected.
        pub fn happened(&self) -> bool {
            STATE.with_borrow(|state| state.plan.iter().all(|fault| fault.happened))
        }
    }

    impl Drop for FaultGuard {
        fn drop(&mut self) {
            STATE.with_borrow_mut(|state| state.plan.clear());
        }
    }

    fn trace(state: &State, name: &str) {
        if let Some(path) = &state.trace {
            let _ = std::fs::write(path, format!("{} {name}\n", state.moment.0));
        }
    }

    /// Injects the fault for a point of [`super::POINTS`], if any.
    ///
    /// # Errors
    /// The injected error.
    pub fn point(name: &'static str) -> io::Result<()> {
        debug_assert!(super::POINTS.contains(&name), "{name} is not in POINTS");
        STATE.with_borrow_mut(|state| {
            trace(state, name);
            for fault in state.plan.iter_mut().filter(|fault| fault.target == name) {
                fault.passed += 1;
                if fault.when != When::Always && fault.when != When::Once(fault.passed) {
                    continue;
                }
                fault.happened = true;
                match fault.action {
                    Action::Abort => std::process::abort(),
                    Action::Hang => {
                        eprintln!("hanging at {name}");
                        loop {
                            std::thread::park();
                        }
                    }
                    Action::Error => return Err(io::ErrorKind::StorageFull.into()),
                    Action::Value(_) => {}
                }
            }
            Ok(())
        })
    }

    /// The value injected at a site of [`super::SITES`] now, if any.
    pub fn value(site: &'static str) -> Option<f32> {
        debug_assert!(super::SITES.contains(&site), "{site} is not in SITES");
        STATE.with_borrow_mut(|state| {
            let (global_batch, batch, attempt) = state.moment;
            trace(state, site);
            let now = |fault: &&mut Fault| match fault.when {
                When::Once(at) => at == global_batch && attempt == 0,
                When::EachEpoch(at) => at == batch,
                When::Always => true,
            };
            let fault = state.plan.iter_mut().filter(|fault| fault.target == site).find(now)?;
            fault.happened = true;
            if let Action::Value(value) = fault.action { Some(value) } else { None }
        })
    }

    /// Sets the current batch: its index in the run, its index in the epoch, and the attempt.
    pub fn set_batch(global_batch: u64, batch: u64, attempt: u32) {
        STATE.with_borrow_mut(|state| state.moment = (global_batch, batch, attempt));
    }
}

pub use points::*;
