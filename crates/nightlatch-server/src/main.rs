//! The program `nightlatch`. See the library of this package.

use std::process::ExitCode;

/// A request through the gateway is some dozens of small allocations on one thread and their frees on the same; the system's allocator
/// took an eighth of the gateway's processor time, this one a third of that (`cargo xtask bench gateway`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nightlatch_server::main()
}
