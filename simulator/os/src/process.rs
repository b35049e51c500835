//! Processes for the runner: a zygote forks one child for each seed, under a limit of wall time, in an address
//! space that is the same each time. These calls reach the real kernel; nothing here is simulated.
//!
//! They are safe to call, on one condition that the compiler cannot check: [`fork_and_run`] belongs into a
//! process with a single busy thread, because a lock that another thread holds at the fork stays held in the
//! child for ever.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// What the parent hears from a child while it runs.
pub enum Heard<'a> {
    /// Bytes that the child wrote to the report that it was given.
    Report(&'a [u8]),
    /// Bytes that the child printed, to standard output or to standard error.
    Printed(&'a [u8]),
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The closure returned or panicked, or something called `exit`: its status (0 and 101 for the first two).
    Exited(i32),
    /// A signal ended the process.
    Signalled(i32),
    /// The limit of wall time passed.
    OverLimit,
}

/// Lines of a kept log that a stuck child prints.
const LAST_LINES: usize = 8;

/// How to run a child.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wall time after which the child is killed. What it was doing then is printed as a stack trace, where
    /// that is possible, so it reaches the parent as [`Heard::Printed`].
    pub wall_time_max: Duration,
    /// Size in bytes of the stack of the thread that runs the closure.
    pub stack_bytes: usize,
}

/// Forks, runs `child` in the new process on a fresh thread, and returns when that process has ended.
///
/// `heard` is called with what the child reports and prints, in bounded pieces; nothing is allocated here in the
/// parent, so that the next fork starts from the same memory. Standard input of the child is empty. A fresh
/// thread is needed because generators that belong to a thread (hash keys, `fastrand`) would carry over.
///
/// # Errors
/// When the system refuses a pipe or a process.
pub fn fork_and_run(
    limits: Limits,
    child: impl FnOnce(&mut File) + Send + 'static,
    mut heard: impl FnMut(Heard<'_>),
) -> io::Result<Ending> {
    let (report_in, report_out) = pipe()?;
    let (printed_in, printed_out) = pipe()?;
    let empty = File::open("/dev/null")?;
    // What is buffered would be printed twice, once by each process.
    io::stdout().flush()?;
    // SAFETY: plain system call; the documented condition of this module covers the locks.
    let process = unsafe { libc::fork() };
    if process < 0 {
        return Err(io::Error::last_os_error());
    }
    if process == 0 {
        drop((report_in, printed_in));
        // SAFETY: the descriptors are open; 0, 1 and 2 belong to the process, and it is ours alone.
        unsafe {
            libc::dup2(empty.as_raw_fd(), 0);
            libc::dup2(printed_out.as_raw_fd(), 1);
            libc::dup2(printed_out.as_raw_fd(), 2);
        }
        drop(printed_out);
        run_child(limits, child, File::from(report_out));
    }
    drop((report_out, printed_out));
    listen(process, &File::from(report_in), &File::from(printed_in), &mut heard)?;
    wait(process)
}

/// The child's half of [`fork_and_run`].
fn run_child(limits: Limits, child: impl FnOnce(&mut File) + Send + 'static, mut report: File) -> ! {
    // SAFETY: plain system calls on the process's own state. When the zygote dies its child must not outlive it.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
    }
    // The limit's signal shall find the simulation's thread, whose stack is the one to print.
    mask_limit_signal(libc::SIG_BLOCK);
    arm_limit(limits.wall_time_max);
    occupy_inherited_heap();
    let thread = std::thread::Builder::new().name("simulation".into()).stack_size(limits.stack_bytes).spawn(
        move || {
            mask_limit_signal(libc::SIG_UNBLOCK);
            child(&mut report);
        },
    );
    let status = match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => 101,
    };
    // The process ends whether or not its last words could be printed.
    let _ = io::stdout().flush();
    // SAFETY: ends the process without running what the zygote registered to run at its own exit.
    unsafe { libc::_exit(status) }
}

/// Lets the kernel send `SIGALRM` after `limit`: it works however stuck the process is.
fn arm_limit(limit: Duration) {
    // SAFETY: the structures are plain C data, fully initialised; the handler is a function of the right type.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = over_limit as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // One shot and not masked while it runs: a second signal ends a handler that is stuck itself.
        action.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        let value = libc::timeval {
            tv_sec: limit.as_secs() as libc::time_t,
            // A timer of zero would never fire.
            tv_usec: (limit.subsec_micros() as libc::suseconds_t).max(1),
        };
        let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: never, it_value: value };
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
}

/// Makes the next thread start with a heap of its own.
///
/// glibc gives a new thread the arena of a thread that is gone, and after a fork the arena of the test harness's
/// main thread is such a one. What lies in it depends on the harness, the environment and the real scheduler,
/// so a thread that stays takes it, and the simulation allocates from an empty one. Other libraries lose nothing.
fn occupy_inherited_heap() {
    let taken = Arc::new(Barrier::new(2));
    let occupant = std::thread::Builder::new().name("heap".into()).spawn({
        let taken = taken.clone();
        move || {
            let first_box = Box::new(0_u8);
            taken.wait();
            loop {
                std::thread::park();
                std::hint::black_box(&first_box);
            }
        }
    });
    if occupant.is_ok() {
        taken.wait();
    }
}

fn mask_limit_signal(how: libc::c_int) {
    // SAFETY: `set` is initialised by sigemptyset before it is read.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGALRM);
        libc::pthread_sigmask(how, &set, std::ptr::null_mut());
    }
}

/// Prints where the process is stuck and ends it.
///
/// Printing allocates and so may block for ever when the signal came inside the allocator: the second alarm then
/// ends the process without the trace. Nothing else in this process matters any more.
extern "C" fn over_limit(_: libc::c_int) {
    // SAFETY: alarm and raise may be called in a handler.
    unsafe {
        libc::alarm(2);
    }
    let last_words = crate::with(|kernel| {
        let place = kernel.place().name.to_owned();
        let lines = kernel.recorder.lines();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        format!("{place}, {:?} after the start of the world\n{last}", Duration::from_nanos(kernel.instant()))
    });
    let last_words = last_words.unwrap_or_else(|| "in the script, or in the simulated kernel".to_owned());
    crate::outside(|| {
        let trace = std::backtrace::Backtrace::force_capture();
        // There is nobody left to tell of an error.
        let _ = writeln!(io::stderr(), "{}\n{trace}", last_words.trim_end());
    });
    // SAFETY: as above; the handler has been reset, so this ends the process.
    unsafe {
        libc::raise(libc::SIGALRM);
    }
}

/// Hands over what comes through the two pipes until the process has ended and the pipes are empty.
fn listen(
    process: libc::pid_t,
    report: &File,
    printed: &File,
    heard: &mut impl FnMut(Heard<'_>),
) -> io::Result<()> {
    // Something that the child started may keep the pipes open after its end, so the process itself is watched
    // where the kernel offers that; elsewhere the pipes alone decide.
    // SAFETY: plain system call; the result is checked.
    let watched = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) } as RawFd;
    // SAFETY: the descriptor was just made and is owned by nothing else.
    let watched = (watched >= 0).then(|| unsafe { OwnedFd::from_raw_fd(watched) });
    let watched_fd = watched.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let mut open = [true, true];
    let mut piece = [0; 16 * 1024];
    while open.contains(&true) {
        let fd = |index: usize, file: &File| if open[index] { file.as_raw_fd() } else { -1 };
        let mut polled = [fd(0, report), fd(1, printed), watched_fd].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: the array lives through the call and its length is given.
        if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        if polled[0].revents != 0 {
            let length = (&*report).read(&mut piece)?;
            open[0] = length > 0;
            heard(Heard::Report(&piece[..length]));
        }
        if polled[1].revents != 0 {
            let length = (&*printed).read(&mut piece)?;
            open[1] = length > 0;
            heard(Heard::Printed(&piece[..length]));
        }
        let pipes_quiet = polled[0].revents == 0 && polled[1].revents == 0;
        if polled[2].revents != 0 && pipes_quiet {
            break;
        }
    }
    Ok(())
}

fn wait(process: libc::pid_t) -> io::Result<Ending> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call; the child is ours and has not been waited for.
        if unsafe { libc::waitpid(process, &mut status, 0) } >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    if !libc::WIFSIGNALED(status) {
        return Ok(Ending::Exited(libc::WEXITSTATUS(status)));
    }
    Ok(match libc::WTERMSIG(status) {
        libc::SIGALRM => Ending::OverLimit,
        signal => Ending::Signalled(signal),
    })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors were just made and are owned by nothing else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Whether a process is placed at random addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// The same in each process: some hash maps order their entries by addresses.
    Fixed,
    /// Random, as processes usually have them.
    Random,
}

/// Makes `command` start at such addresses, where the system allows it. A refusal (a container may refuse) is
/// not an error: [`addresses`] tells.
pub fn start_at(addresses: Addresses, command: &mut Command) {
    let fixed = libc::ADDR_NO_RANDOMIZE as libc::c_ulong;
    // SAFETY: between fork and exec only this async-signal-safe system call is made.
    unsafe {
        command.pre_exec(move || {
            let asked = libc::personality(ASK);
            if asked >= 0 {
                let others = asked as libc::c_ulong & !fixed;
                libc::personality(if addresses == Addresses::Fixed { others | fixed } else { others });
            }
            Ok(())
        });
    }
}

/// The argument with which `personality` answers without a change.
const ASK: libc::c_ulong = 0xffff_ffff;

/// How this process was placed, as far as the system tells.
pub fn addresses() -> Addresses {
    // SAFETY: asks without changing.
    let persona = unsafe { libc::personality(ASK) };
    let fixed = persona >= 0 && persona & libc::ADDR_NO_RANDOMIZE != 0;
    if fixed { Addresses::Fixed } else { Addresses::Random }
}

/// Makes `command` run on one CPU only: the `nth`, counted round, of those that this process may use.
/// A refusal is not an error; the command then runs where it likes.
pub fn on_one_cpu(command: &mut Command, nth: usize) {
    // SAFETY: a CPU set is plain bits, valid when zero.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call and its size is given.
    let status = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed) };
    // SAFETY: the indices stay below the size of the set.
    let cpus: Vec<usize> =
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &allowed) }).collect();
    if status != 0 || cpus.is_empty() {
        return;
    }
    // SAFETY: as above.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the index is one that the system named.
    unsafe { libc::CPU_SET(cpus[nth % cpus.len()], &mut one) };
    // SAFETY: between fork and exec only this async-signal-safe system call is made.
    unsafe {
        command.pre_exec(move || {
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one);
            Ok(())
        });
    }
}

/// The usual name of a signal that ends processes.
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        _ => "a signal",
    }
}
