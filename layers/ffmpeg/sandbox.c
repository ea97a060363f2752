/* Starts a program that reads what nobody trusts, with what it may not do decided before it begins:
 *
 *     ffmpeg-sandbox MEMORY CPU_SECONDS FILE_SIZE OPEN_FILES PROGRAM [ARGUMENT...]
 *
 * Sizes are bytes. The program becomes this process, with the same environment and open files. It
 * may use threads. It can start no process and no other program, has no socket, sees into no other
 * process, gains no privileges, and dumps no core. For Linux on x86_64 only, as the layer.
 *
 * Exit code 125: wrong use, or a limit that cannot be set. 127: the program cannot be started. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define LOAD_HIGH(field) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field) + 4)
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define REFUSE(error) ANSWER(SECCOMP_RET_ERRNO | (error))
/* Where the number of the call is the one that is loaded. */
#define REFUSED(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), REFUSE(EPERM)

/* Newer than some of the headers that this is compiled with. */
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#define X32 0x40000000u /* Calls of the x32 ABI have numbers from here on. */

static void failed(const char *what)
{
    fprintf(stderr, "ffmpeg-sandbox: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void limit(int what, const char *name, const char *text, unsigned grace)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end) {
        errno = EINVAL;
        failed(name);
    }
    struct rlimit both = {value, value + grace};
    if (setrlimit(what, &both))
        failed(name);
}

/* Refuse system calls from now on, but the one that starts `program`. The filter compares the
 * address of its name, which the program that is started does not know. */
static void filter(const char *program)
{
    const uint64_t address = (uintptr_t)program;
    struct sock_filter rules[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1),
        ANSWER(SECCOMP_RET_KILL_PROCESS),

        /* The network, and what leads to it or past this filter. */
        REFUSED(socket), REFUSED(socketpair), REFUSED(connect), REFUSED(bind), REFUSED(listen),
        REFUSED(accept), REFUSED(accept4), REFUSED(sendto), REFUSED(sendmsg), REFUSED(sendmmsg),
        REFUSED(io_uring_setup), REFUSED(io_uring_enter), REFUSED(io_uring_register),
        REFUSED(bpf), REFUSED(userfaultfd), REFUSED(perf_event_open),
        /* Other processes. */
        REFUSED(ptrace), REFUSED(process_vm_readv), REFUSED(process_vm_writev), REFUSED(kcmp),
        REFUSED(kill), REFUSED(tkill), REFUSED(rt_sigqueueinfo), REFUSED(rt_tgsigqueueinfo),
        REFUSED(pidfd_open), REFUSED(pidfd_getfd), REFUSED(prlimit64),
        REFUSED(shmget), REFUSED(shmat), REFUSED(msgget), REFUSED(semget), REFUSED(mq_open),
        /* Other views of the system. */
        REFUSED(unshare), REFUSED(setns), REFUSED(mount), REFUSED(umount2), REFUSED(chroot),
        REFUSED(pivot_root), REFUSED(keyctl), REFUSED(add_key), REFUSED(request_key),
        REFUSED(open_by_handle_at), REFUSED(personality),
        /* What outlives it, or is not its own: names, modes, owners. */
        REFUSED(symlink), REFUSED(symlinkat), REFUSED(link), REFUSED(linkat),
        REFUSED(chmod), REFUSED(fchmodat), REFUSED(chown), REFUSED(lchown), REFUSED(fchownat),
        REFUSED(mknod), REFUSED(mknodat), REFUSED(unlink), REFUSED(unlinkat),
        REFUSED(rename), REFUSED(renameat), REFUSED(renameat2), REFUSED(rmdir), REFUSED(mkdir),
        REFUSED(mkdirat),
        /* Processes. glibc makes its threads by clone where there is no clone3. */
        REFUSED(fork), REFUSED(vfork), REFUSED(execveat),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1), REFUSE(ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0), REFUSE(EPERM),
        ANSWER(SECCOMP_RET_ALLOW),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 0, 6),
        LOAD(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)address, 0, 3),
        LOAD_HIGH(args[0]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(address >> 32), 0, 1),
        ANSWER(SECCOMP_RET_ALLOW),
        REFUSE(EPERM),
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog whole = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole, 0, 0))
        /* A system without it has the limits all the same, and its recordings are not lost. */
        fprintf(stderr, "ffmpeg-sandbox: no filter: %s\n", strerror(errno));
}

int main(int count, char **arguments)
{
    if (count < 6) {
        errno = EINVAL;
        failed("MEMORY CPU_SECONDS FILE_SIZE OPEN_FILES PROGRAM");
    }
    limit(RLIMIT_CORE, "core", "0", 0);
    /* The signal first, which says why; a second later the end. */
    limit(RLIMIT_CPU, "CPU_SECONDS", arguments[2], 1);
    limit(RLIMIT_FSIZE, "FILE_SIZE", arguments[3], 0);
    limit(RLIMIT_NOFILE, "OPEN_FILES", arguments[4], 0);
    /* The last one: this program has it, too. */
    limit(RLIMIT_AS, "MEMORY", arguments[1], 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        failed("no new privileges");
    filter(arguments[5]);
    extern char **environ;
    execve(arguments[5], arguments + 5, environ);
    fprintf(stderr, "ffmpeg-sandbox: %s: %s\n", arguments[5], strerror(errno));
    return 127;
}
