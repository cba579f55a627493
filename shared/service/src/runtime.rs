//! The threads that a service's process works on.

use std::{io, thread::available_parallelism};

use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

/// What a service's process runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Threads that work. 0, the default, is one less than there are processors, and at least one: SQLite works on a
    /// thread of its own, and on a small machine handing work from thread to thread costs more than one more brings.
    pub worker_threads: u8,
}

impl RuntimeConfig {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn start(self) -> io::Result<Runtime> {
        Builder::new_multi_thread().worker_threads(self.threads()).enable_all().build()
    }

    fn threads(self) -> usize {
        match self.worker_threads {
            0 => available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1)),
            threads => threads.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_threads_as_were_asked_for_and_always_one() {
        let threads =
            |worker_threads| RuntimeConfig { worker_threads }.start().unwrap().metrics().num_workers();
        assert_eq!(threads(3), 3);
        let processors = available_parallelism().unwrap().get();
        assert_eq!(threads(0), (processors - 1).max(1));
    }
}
