"""The command where the system lacks what Windows lacks: `python without_posix.py`.

Takes away the modules, functions and signals that POSIX systems have and Windows has
not, then runs `keras-dqn` with the arguments. What other libraries need on this
machine is imported before or left there (`os.uname`, `os.statvfs`, `os.O_TMPFILE`,
`os.register_at_fork`).
"""

import os
import platform  # noqa: F401
import signal
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401

MODULES = "fcntl grp pty pwd readline resource syslog termios tty"
OS = """
    O_ACCMODE O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_FSYNC O_LARGEFILE
    O_NDELAY O_NOATIME O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_RSYNC O_SYNC chown
    chroot confstr confstr_names copy_file_range ctermid environb eventfd
    eventfd_read eventfd_write fchdir fchmod fchown fdatasync fork forkpty fpathconf
    fstatvfs fwalk get_blocking getegid getenvb geteuid getgid getgrouplist
    getgroups getloadavg getpgid getpgrp getpriority getrandom getresgid getresuid
    getsid getuid getxattr initgroups killpg lchown listxattr lockf login_tty major
    makedev memfd_create minor mkfifo mknod nice openpty pathconf pathconf_names
    pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread
    preadv pwrite pwritev readv removexattr sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler
    sched_param sched_rr_get_interval sched_setaffinity sched_setparam
    sched_setscheduler sched_yield sendfile set_blocking setegid seteuid setgid
    setgroups setpgid setpgrp setpriority setregid setresgid setresuid setreuid
    setsid setuid setxattr spawnlp spawnlpe spawnvp spawnvpe splice sync sysconf
    sysconf_names tcgetpgrp tcsetpgrp ttyname wait wait3 wait4 waitid waitid_result
    writev WNOHANG
"""
SIGNAL = """
    ITIMER_PROF ITIMER_REAL ITIMER_VIRTUAL ItimerError SIGALRM SIGBUS SIGCHLD SIGCLD
    SIGCONT SIGHUP SIGIO SIGIOT SIGKILL SIGPIPE SIGPOLL SIGPROF SIGPWR SIGQUIT
    SIGRTMAX SIGRTMIN SIGSTKFLT SIGSTOP SIGSYS SIGTRAP SIGTSTP SIGTTIN SIGTTOU
    SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK
    SIG_UNBLOCK Sigmasks alarm getitimer pause pidfd_send_signal pthread_kill
    pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait
    sigwaitinfo struct_siginfo
"""


def take_away():
    sys.modules.update(dict.fromkeys(MODULES.split()))
    for module, names in ((os, OS), (signal, SIGNAL)):
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)


if __name__ == "__main__":
    take_away()
    from keras_dqn.cli.__main__ import main

    sys.exit(main(sys.argv[1:]))
