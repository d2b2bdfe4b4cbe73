//! Named points at which tests let things go wrong; without the feature `faults` there are none.
//!
//! A plan is a list such as `save-commit=abort@2,loss=nan@7`, given by the variable `SEQZOO_FAULTS` or `arm`ed in a thread:
//!
//! | fault | happens |
//! |---|---|
//! | `POINT=abort@N` | the process ends at once, the N-th time that the point is passed |
//! | `POINT=hang@N` | the process says so on standard error and waits to be killed, the N-th time |
//! | `POINT=error@N` | the operation fails as on a full disk, the N-th time |
//! | `SITE=VALUE@N` | the value (`nan`, `inf`, `-inf`, `1e20`) appears there while batch N is read for the first time |
//! | `SITE=VALUE@N+` | … whenever batch N of a pass is read; `@*` whenever any is |
//!
//! Batches are counted from 0 within a pass with `+`, from the beginning of the run without. With `SEQZOO_FAULTS_TRACE=FILE`,
//! the file holds the point passed last, for tests that ask what a kill has hit.

/// Every point of a save, a removal, a load, a journal and a rollback.
pub const POINTS: [&str; 12] = [
    "save-begin",
    "save-write",
    "save-manifest",
    "save-commit",
    "save-committed",
    "prune-remove",
    "load-read",
    "aside-rename",
    "journal-append",
    "metrics-cut",
    "rollback-record",
    "rollback-load",
];

/// Every place at which a value can appear.
pub const SITES: [&str; 7] = ["data", "activation", "loss", "gradient", "weights", "recurrent_state", "metric"];

#[cfg(not(feature = "faults"))]
mod points {
    /// Passes a point of [`super::POINTS`].
    ///
    /// # Errors
    /// None without the feature `faults`.
    #[inline(always)]
    pub fn point(_: &'static str) -> std::io::Result<()> {
        Ok(())
    }

    /// The value that appears at a place of [`super::SITES`]: none without the feature `faults`.
    #[inline(always)]
    pub fn value(_: &'static str) -> Option<f32> {
        None
    }

    /// Says which batch is being read: the `global_batch`-th of the run, at `place` of its pass, for the `attempt`-th time.
    #[inline(always)]
    pub fn moment(_tick: u64, _place: u64, _attempt: u32) {}
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
        /// The n-th time, or batch n of the run at the first attempt.
        Once(u64),
        /// Batch n of every pass, at every attempt.
        EachPass(u64),
        Always,
    }

    #[derive(Debug, Clone, PartialEq)]
    struct Fault {
        place: String,
        action: Action,
        when: When,
        passed: u64,
        happened: bool,
    }

    #[derive(Debug, Default)]
    struct State {
        plan: Vec<Fault>,
        /// Batch of the run, batch of the pass, attempt.
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
            let wrong = || format!("`{text}` is not PLACE=ACTION@WHEN");
            let (place, rest) = text.split_once('=').ok_or_else(wrong)?;
            let (action, when) = rest.split_once('@').ok_or_else(wrong)?;
            if !super::POINTS.contains(&place) && !super::SITES.contains(&place) {
                return Err(format!("there is no place `{place}`"));
            }
            let action = match action {
                "abort" => Action::Abort,
                "hang" => Action::Hang,
                "error" => Action::Error,
                value => Action::Value(value.parse().map_err(|_| wrong())?),
            };
            let number = |text: &str| text.parse().map_err(|_| wrong());
            let when = match (when, when.strip_suffix('+')) {
                ("*", _) => When::Always,
                (_, Some(batch)) => When::EachPass(number(batch)?),
                (once, None) => When::Once(number(once)?),
            };
            Ok(Fault { place: place.to_owned(), action, when, passed: 0, happened: false })
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(fault).collect()
    }

    /// While it lives, faults happen in this thread by a plan of its own.
    #[derive(Debug)]
    pub struct Armed(());

    /// Lets faults happen in this thread until the guard is dropped.
    ///
    /// # Errors
    /// If the plan cannot be read.
    pub fn arm(plan: &str) -> Result<Armed, String> {
        let plan = parse(plan)?;
        STATE.with_borrow_mut(|state| state.plan = plan);
        Ok(Armed(()))
    }

    impl Armed {
        /// Whether every fault of the plan has happened.
        pub fn happened(&self) -> bool {
            STATE.with_borrow(|state| state.plan.iter().all(|fault| fault.happened))
        }
    }

    impl Drop for Armed {
        fn drop(&mut self) {
            STATE.with_borrow_mut(|state| state.plan.clear());
        }
    }

    fn trace(state: &State, what: &str) {
        if let Some(path) = &state.trace {
            let _ = std::fs::write(path, format!("{} {what}\n", state.moment.0));
        }
    }

    /// Passes a point of [`super::POINTS`].
    ///
    /// # Errors
    /// If the plan lets it fail.
    pub fn point(name: &'static str) -> io::Result<()> {
        debug_assert!(super::POINTS.contains(&name), "{name} is in no list");
        STATE.with_borrow_mut(|state| {
            trace(state, name);
            for fault in state.plan.iter_mut().filter(|fault| fault.place == name) {
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

    /// The value that appears at a place of [`super::SITES`] now, if the plan has one.
    pub fn value(site: &'static str) -> Option<f32> {
        debug_assert!(super::SITES.contains(&site), "{site} is in no list");
        STATE.with_borrow_mut(|state| {
            let (global_batch, place, attempt) = state.moment;
            trace(state, site);
            let now = |fault: &&mut Fault| match fault.when {
                When::Once(at) => at == global_batch && attempt == 0,
                When::EachPass(at) => at == place,
                When::Always => true,
            };
            let fault = state.plan.iter_mut().filter(|fault| fault.place == site).find(now)?;
            fault.happened = true;
            if let Action::Value(value) = fault.action { Some(value) } else { None }
        })
    }

    /// Says which batch is being read: the `global_batch`-th of the run, at `place` of its pass, for the `attempt`-th time.
    pub fn moment(global_batch: u64, place: u64, attempt: u32) {
        STATE.with_borrow_mut(|state| state.moment = (global_batch, place, attempt));
    }
}

pub use points::*;
