//! The system calls that a program of a job may not make: what Landlock does not ask about.
//!
//! A list of what is refused and not of what is allowed: Python and the C library use new calls with each version, and
//! a play that a new library ends is no safer than one that runs. What is refused answers "not permitted".

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// What no program of a job does: other processes, the machine, files by other ways than their path, and the
/// attributes of files, which are no access to Landlock.
const FOREIGN: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // The attributes of files, and cutting them off by name.
    libc::SYS_truncate,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_utimensat,
    libc::SYS_fchownat,
    libc::SYS_fchown,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // What the machine is, and what runs beside the filter.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_fanotify_init,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_shmget,
    libc::SYS_mq_open,
    libc::SYS_personality,
];

/// Signals to other processes. Ansible ends its own workers with them, so where the kernel or a user of its own keeps a
/// play to those, they are not refused.
const SIGNALS: &[i64] = &[
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pidfd_getfd,
];

/// The same for machines whose kernels have calls from before those that take a directory.
#[cfg(target_arch = "x86_64")]
const FOREIGN_OF_MACHINE: &[i64] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_kexec_file_load,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const FOREIGN_OF_MACHINE: &[i64] = &[];

/// What a play has no use for besides: programs, sockets, other modes for files that are open. All that it does on its
/// node it does through the one descriptor that it is given.
const OF_PLAYS: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_socket,
    libc::SYS_fchmod,
];

/// What is answered as by a kernel that has no such call, for the C library then uses another one: their arguments are
/// in memory, where a filter does not look.
const UNKNOWN: &[i64] = &[libc::SYS_openat2, libc::SYS_clone3];

/// New calls have the same number on every machine, before the C library's headers know them.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;

/// The calls that are refused to plays; with `signals` those as well.
pub(super) fn of_plays(signals: bool) -> Vec<&'static [i64]> {
    let signals = if signals { SIGNALS } else { &[] };
    vec![FOREIGN, FOREIGN_OF_MACHINE, OF_PLAYS, signals]
}

/// The calls that are refused to programs that talk to a node by themselves, such as `ssh`.
const OF_PROGRAMS: &[&[i64]] = &[FOREIGN, FOREIGN_OF_MACHINE, SIGNALS];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filter that refuses `calls`, as the kernel reads it; empty on a machine that no filter is made for.
///
/// # Errors
/// When the filter is too long for the kernel.
pub(super) fn program(calls: &[&[i64]]) -> io::Result<Vec<u8>> {
    let Some(program) = compile(calls)? else {
        return Ok(Vec::new());
    };
    let bytes = program.iter().flat_map(|instruction| {
        let sock_filter { code, jt, jf, k } = *instruction;
        let [low, high] = code.to_ne_bytes();
        let [a, b, c, d] = k.to_ne_bytes();
        [low, high, jt, jf, a, b, c, d]
    });
    Ok(bytes.collect())
}

/// Refuses to this thread, and to all that it starts, what programs of a job never do.
///
/// # Errors
/// When the kernel has no filters.
pub(in crate::ansible) fn restrict_calls() -> io::Result<()> {
    restrict(OF_PROGRAMS)
}

/// Refuses these calls to this thread, and to all that it starts.
///
/// # Errors
/// When the kernel has no filters.
pub(super) fn restrict(calls: &[&[i64]]) -> io::Result<()> {
    match compile(calls)? {
        Some(program) => seccompiler::apply_filter(&program).map_err(io::Error::other),
        None => Ok(()),
    }
}

fn compile(calls: &[&[i64]]) -> io::Result<Option<BpfProgram>> {
    let Ok(machine) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(None);
    };
    let mut rules = in_part().map_err(io::Error::other)?;
    let calls = calls.iter().flat_map(|calls| calls.iter());
    rules.extend(calls.map(|call| (*call, Vec::new())));
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, machine);
    let filter = filter.map_err(io::Error::other)?;
    let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    Ok(Some(with_answers_by_number(program)))
}

/// Calls that are refused with some arguments only.
fn in_part() -> Result<Rules, seccompiler::BackendError> {
    let mut rules = Rules::new();
    let mut refuse = |call, conditions| -> Result<(), seccompiler::BackendError> {
        let rule = SeccompRule::new(conditions)?;
        rules.entry(call).or_default().push(rule);
        Ok(())
    };
    // Limits of another process.
    refuse(libc::SYS_prlimit64, vec![is(0, SeccompCmpOp::Ne, 0)?])?;
    // A signal to somebody else when a descriptor has something to read.
    const FIOSETOWN: i32 = 0x8901;
    const SIOCSPGRP: i32 = 0x8902;
    const F_SETOWN_EX: i32 = 15;
    const F_SETSIG: i32 = 10;
    for command in [libc::F_SETOWN, F_SETSIG, F_SETOWN_EX] {
        refuse(libc::SYS_fcntl, vec![equal(1, command)?])?;
    }
    // And what types into a terminal, for whoever reads from it.
    const TIOCSTI: i32 = 0x5412;
    const TIOCLINUX: i32 = 0x541C;
    for command in [FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX] {
        refuse(libc::SYS_ioctl, vec![equal(1, command)?])?;
    }
    // Landlock asks for nothing when a file is opened neither to read nor to write, which devices take orders by; and
    // before Linux 6.2 not for more than reading when it is cut off as well.
    for flags in opening() {
        let (call, argument) = flags;
        const NEITHER: i32 = libc::O_ACCMODE;
        refuse(call, vec![has(argument, NEITHER, NEITHER)?])?;
        let cut = has(argument, NEITHER | libc::O_TRUNC, libc::O_TRUNC)?;
        refuse(call, vec![cut])?;
    }
    // Namespaces, in which a process has all the rights that it lacks.
    for namespace in [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ] {
        refuse(libc::SYS_clone, vec![has(0, namespace, namespace)?])?;
    }
    // Networks other than those that lead to a node and to the name service, whole packets, and the list of all sockets
    // of the machine, whose names lead to them.
    const KIND: i32 = 0xF;
    const FAMILIES: [i32; 4] = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ];
    let other = |family: &i32| is(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs()));
    let others: Result<Vec<_>, _> = FAMILIES.iter().map(other).collect();
    refuse(libc::SYS_socket, others?)?;
    for family in [libc::AF_INET, libc::AF_INET6] {
        let raw = has(1, KIND, libc::SOCK_RAW)?;
        refuse(libc::SYS_socket, vec![equal(0, family)?, raw])?;
    }
    let diagnosis = equal(2, libc::NETLINK_SOCK_DIAG)?;
    let netlink = equal(0, libc::AF_NETLINK)?;
    refuse(libc::SYS_socket, vec![netlink, diagnosis])?;
    // A pair whose one end can be sent elsewhere: a way to any socket without making one.
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
        refuse(libc::SYS_socketpair, vec![has(1, KIND, kind)?])?;
    }
    let other = is(0, SeccompCmpOp::Ne, u64::from(libc::AF_UNIX.unsigned_abs()))?;
    refuse(libc::SYS_socketpair, vec![other])?;
    Ok(rules)
}

/// The calls that open a file by its path, and which argument has the flags.
fn opening() -> impl Iterator<Item = (i64, u8)> {
    #[cfg(target_arch = "x86_64")]
    let of_machine = Some((libc::SYS_open, 1));
    #[cfg(not(target_arch = "x86_64"))]
    let of_machine = None;
    of_machine.into_iter().chain([(libc::SYS_openat, 2)])
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn is(argument: u8, operator: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn equal(argument: u8, value: i32) -> Condition {
    is(argument, SeccompCmpOp::Eq, u64::from(value.unsigned_abs()))
}

/// Whether the bits of `mask` are those of `value`.
fn has(argument: u8, mask: i32, value: i32) -> Condition {
    let operator = SeccompCmpOp::MaskedEq(u64::from(mask.unsigned_abs()));
    is(argument, operator, u64::from(value.unsigned_abs()))
}

/// Adds what is decided by the number alone, with another answer or for numbers that no list has.
fn with_answers_by_number(mut program: BpfProgram) -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    let is_number = |instruction: &sock_filter| instruction.code == LOAD && instruction.k == 0;
    let answer = |compare: u16, number: u32, error: i32| {
        let instruction = |code, jf, k| sock_filter { code, jt: 0, jf, k };
        let refuse = instruction(RETURN, 0, ERRNO | error.unsigned_abs());
        [instruction(compare, 1, number), refuse]
    };
    let numbers = UNKNOWN.iter().filter_map(|call| u32::try_from(*call).ok());
    let mut answers: Vec<sock_filter> = numbers
        .flat_map(|number| answer(JUMP_IF_EQUAL, number, libc::ENOSYS))
        .collect();
    // x86 has a second set of numbers for the same calls, which a list of numbers would miss.
    #[cfg(target_arch = "x86_64")]
    {
        const JUMP_IF_AT_LEAST: u16 = 0x35;
        const OTHER_NUMBERS: u32 = 0x4000_0000;
        answers.extend(answer(JUMP_IF_AT_LEAST, OTHER_NUMBERS, libc::EPERM));
    }
    if let Some(at) = program.iter().position(is_number) {
        program.splice(at + 1..=at, answers);
    }
    program
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;
    use nix::fcntl::{OFlag, OpenHow};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket, socketpair};
    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn a_filter_is_whole_instructions_and_fits_the_kernel() {
        let program = program(&of_plays(true)).expect("a filter");
        assert!(!program.is_empty() && program.len().is_multiple_of(8));
        assert!(program.len() / 8 < 4096);
    }

    #[test]
    fn calls_are_refused_to_the_thread_that_asks_for_it() {
        std::thread::spawn(|| {
            restrict_calls().expect("a kernel with filters");
            let killed = nix::sys::signal::kill(nix::unistd::Pid::this(), None);
            assert_eq!(killed, Err(Errno::EPERM));
            let cut = nix::unistd::truncate("/dev/null", 0);
            assert_eq!(cut, Err(Errno::EPERM));
            for flags in [OFlag::O_ACCMODE, OFlag::O_RDONLY | OFlag::O_TRUNC] {
                let opened = nix::fcntl::open("/dev/null", flags, Mode::empty());
                assert_eq!(opened.err(), Some(Errno::EPERM), "{flags:?}");
            }
            nix::fcntl::open("/dev/null", OFlag::O_RDWR, Mode::empty()).expect("not refused");
            let pair = |kind| socketpair(AddressFamily::Unix, kind, None, SockFlag::empty());
            assert_eq!(pair(SockType::Datagram).err(), Some(Errno::EPERM));
            pair(SockType::Stream).expect("not refused");
            let packets = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), None);
            assert_eq!(packets.err(), Some(Errno::EPERM));
            let names = socket(
                AddressFamily::Inet,
                SockType::Datagram,
                SockFlag::empty(),
                None,
            );
            names.expect("not refused");
            let other = OpenHow::new().flags(OFlag::O_RDONLY);
            let other = nix::fcntl::openat2(io::stdin(), "/dev/null", other);
            assert_eq!(other.err(), Some(Errno::ENOSYS));
            crate::process::command("true")
                .status()
                .expect("programs start");
        })
        .join()
        .expect("the thread ends well");
        nix::sys::signal::kill(nix::unistd::Pid::this(), None).expect("not restricted");
    }
}
