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
    Ok(Some(without_other_numbers(program)))
}

/// Calls that are refused with some arguments only: limits of another process, a signal to somebody else when a
/// descriptor has something to read, and the list of all sockets of the machine, whose names lead to them.
fn in_part() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    const FIOSETOWN: u64 = 0x8901;
    const SIOCSPGRP: u64 = 0x8902;
    const F_SETOWN_EX: u64 = 15;
    const F_SETSIG: u64 = 10;
    let is = |argument, operator, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
    };
    let equal = |argument, value| is(argument, SeccompCmpOp::Eq, value);
    let mut rules = BTreeMap::new();
    let other = is(0, SeccompCmpOp::Ne, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![other])?]);
    let owner = u64::from(libc::F_SETOWN.unsigned_abs());
    let fcntl = [owner, F_SETSIG, F_SETOWN_EX].map(|command| equal(1, command));
    let ioctl = [FIOSETOWN, SIOCSPGRP].map(|command| equal(1, command));
    for (call, conditions) in [
        (libc::SYS_fcntl, Vec::from(fcntl)),
        (libc::SYS_ioctl, Vec::from(ioctl)),
    ] {
        let one = |condition: Result<SeccompCondition, _>| SeccompRule::new(vec![condition?]);
        let conditions = conditions.into_iter().map(one);
        rules.insert(call, conditions.collect::<Result<_, _>>()?);
    }
    let family = equal(0, u64::from(libc::AF_NETLINK.unsigned_abs()))?;
    let protocol = equal(2, u64::from(libc::NETLINK_SOCK_DIAG.unsigned_abs()))?;
    rules.insert(
        libc::SYS_socket,
        vec![SeccompRule::new(vec![family, protocol])?],
    );
    Ok(rules)
}

/// x86 has a second set of numbers for the same calls, which a list of numbers would miss.
#[cfg(target_arch = "x86_64")]
fn without_other_numbers(mut program: BpfProgram) -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    const OTHER_NUMBERS: u32 = 0x4000_0000;
    let is_number = |instruction: &sock_filter| instruction.code == LOAD && instruction.k == 0;
    if let Some(at) = program.iter().position(is_number) {
        let instruction = |code, jf, k| sock_filter { code, jt: 0, jf, k };
        let refuse = instruction(RETURN, 0, ERRNO | libc::EPERM.unsigned_abs());
        let compare = instruction(JUMP_IF_AT_LEAST, 1, OTHER_NUMBERS);
        program.splice(at + 1..=at, [compare, refuse]);
    }
    program
}

#[cfg(not(target_arch = "x86_64"))]
fn without_other_numbers(program: BpfProgram) -> BpfProgram {
    program
}

#[cfg(test)]
mod tests {
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
            assert_eq!(killed, Err(nix::errno::Errno::EPERM));
            let cut = nix::unistd::truncate("/dev/null", 0);
            assert_eq!(cut, Err(nix::errno::Errno::EPERM));
        })
        .join()
        .expect("the thread ends well");
        nix::sys::signal::kill(nix::unistd::Pid::this(), None).expect("not restricted");
    }
}
