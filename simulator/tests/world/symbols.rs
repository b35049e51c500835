//! The audit: each libc function that this binary imports is either interposed (then it is defined here and not
//! imported) or on the list below with the reason why a simulated program may reach the real one.
//!
//! A new import is a question for a reviewer: can it bring time, chance, order or state of the real machine into
//! a run? Then interpose it in `odeon-simulator-os`; else add it here.

use std::collections::BTreeSet;
use std::process::Command;

/// Families of functions that may be the real ones, each with the reason.
const REAL: &[(&str, &[&str])] = &[
    (
        "a constant of the C library: how many signals there are; asked by tokio's signal handling, which a whole \
         workspace build switches on for the daemon",
        &["__libc_current_sigrtmax"],
    ),
    ("arithmetic: the same in every run of one machine", &["pow"]),
    (
        "memory: addresses may differ between runs, and nothing may order by them",
        &[
            "bcmp",
            "calloc",
            "free",
            "malloc",
            "malloc_usable_size",
            "memchr",
            "memcmp",
            "memcpy",
            "memmove",
            "memrchr",
            "memset",
            "mmap",
            "mmap64",
            "mprotect",
            "mremap",
            "munmap",
            "madvise",
            "posix_memalign",
            "aligned_alloc",
            "realloc",
            "reallocarray",
            "strcpy",
            "strdup",
            "strlen",
            "strcmp",
            "strncmp",
        ],
    ),
    (
        "start and end of the process, unwinding, the linker",
        &[
            "_ITM_deregisterTMCloneTable",
            "_ITM_registerTMCloneTable",
            "__cxa_finalize",
            "__cxa_thread_atexit_impl",
            "__gmon_start__",
            "__libc_start_main",
            "__stack_chk_fail",
            "__tls_get_addr",
            "_exit",
            "abort",
            "atexit",
            "dl_iterate_phdr",
            "dlerror",
            "dlsym",
            "exit",
            "getauxval",
            "gnu_get_libc_version",
        ],
    ),
    ("errors as numbers and text", &["__errno_location", "__xpg_strerror_r", "gai_strerror", "freeaddrinfo"]),
    (
        "attributes of the thread itself; threads are started by pthread_create, which is interposed",
        &[
            "gettid",
            "pause",
            "pthread_attr_destroy",
            "pthread_attr_getguardsize",
            "pthread_attr_getstack",
            "pthread_attr_init",
            "pthread_attr_setstacksize",
            "pthread_detach",
            "pthread_getattr_np",
            "pthread_join",
            "pthread_key_create",
            "pthread_key_delete",
            "pthread_self",
            "pthread_setname_np",
            "pthread_setspecific",
            "pthread_getspecific",
            "pthread_atfork",
        ],
    ),
    (
        "signals: a simulated program has none, its runtimes are built without them",
        &[
            "kill",
            "raise",
            "sigaction",
            "sigaddset",
            "sigaltstack",
            "sigemptyset",
            "signal",
            "pthread_sigmask",
            "pthread_kill",
        ],
    ),
    (
        "child processes: posix_spawnp and fork are interposed and refuse, so these are never reached",
        &[
            "chroot",
            "dup2",
            "execvp",
            "execve",
            "pidfd_getpid",
            "pidfd_spawnp",
            "posix_spawn_file_actions_addchdir",
            "posix_spawn_file_actions_addchdir_np",
            "posix_spawn_file_actions_adddup2",
            "posix_spawn_file_actions_destroy",
            "posix_spawn_file_actions_init",
            "posix_spawnattr_destroy",
            "posix_spawnattr_init",
            "posix_spawnattr_setflags",
            "posix_spawnattr_setpgroup",
            "posix_spawnattr_setsigdefault",
            "setgid",
            "setgroups",
            "setpgid",
            "setsid",
            "setuid",
            "waitid",
            "waitpid",
        ],
    ),
    (
        "limits and the address layout, which the runner sets before a run",
        &["getrlimit", "getrlimit64", "personality", "prctl", "setrlimit", "setrlimit64"],
    ),
    (
        "who and where the process is: the same in every run of one machine, and none of a program's business",
        &["chdir", "environ", "getcwd", "getpwuid_r", "getuid", "geteuid", "readlink", "__res_init"],
    ),
];

/// The undefined symbols of this binary, without their versions; `None` when there is no `nm` to ask.
fn imported() -> Option<BTreeSet<String>> {
    let binary = std::env::current_exe().expect("a running binary has a path");
    let output = Command::new("nm").args(["-D", "--undefined-only"]).arg(binary).output().ok()?;
    assert!(output.status.success(), "nm failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("nm prints text");
    let names = text.lines().filter_map(|line| line.split_whitespace().last()?.split('@').next());
    Some(names.map(str::to_owned).collect())
}

#[test]
fn every_imported_symbol_is_interposed_or_has_a_reason() {
    let Some(imported) = imported() else { return };
    assert!(imported.contains("malloc"), "nm lists what is imported");
    let allowed: BTreeSet<&str> = REAL.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let is_unknown = |name: &&String| !name.starts_with("_Unwind_") && !allowed.contains(name.as_str());
    let unknown: Vec<&String> = imported.iter().filter(is_unknown).collect();
    assert!(unknown.is_empty(), "imported, and neither interposed nor explained: {unknown:?}");
}

#[test]
fn the_calls_that_matter_are_interposed() {
    let Some(imported) = imported() else { return };
    let interposed = [
        "clock_gettime",
        "getrandom",
        "syscall",
        "epoll_wait",
        "epoll_ctl",
        "socket",
        "connect",
        "sendmsg",
        "read",
        "write",
        "close",
        "fcntl",
        "open64",
        "fsync",
        "rename",
        "pthread_create",
        "nanosleep",
        "sched_getaffinity",
        "getenv",
        "getpid",
    ];
    let real: Vec<&&str> = interposed.iter().filter(|name| imported.contains(**name)).collect();
    assert!(real.is_empty(), "these come from libc: {real:?}");
}
