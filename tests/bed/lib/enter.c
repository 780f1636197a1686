/*
 * enter PID COMMAND [ARGUMENT…]: runs COMMAND in the network, mount and PID namespaces of PID, as if it had
 * been run here: same working directory, environment, standard streams and exit status, and Ctrl-C is for it.
 *
 * nsenter comes close, but leaves the working directory and dies of Ctrl-C before the command has cleaned up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t child;

/* What the terminal sends, it sends to the command too; only what someone sent to this process is passed on. */
static void pass_on(int number, siginfo_t *info, void *context) {
    (void)context;
    if (child > 0 && info->si_code != SI_KERNEL) {
        kill(child, number);
    }
}

static void fail(const char *what) {
    fprintf(stderr, "bed: error: %s: %s\n", what, strerror(errno));
    exit(125);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int type;
    } spaces[] = {{"net", CLONE_NEWNET}, {"pid", CLONE_NEWPID}, {"mnt", CLONE_NEWNS}};
    static const int passed_on[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    int files[3];
    char folder[PATH_MAX], path[64];

    if (argc < 3) {
        fprintf(stderr, "usage: enter PID COMMAND [ARGUMENT...]\n");
        return 125;
    }
    if (!getcwd(folder, sizeof folder)) {
        fail("the working directory");
    }
    /* All are opened first: the new mount namespace has another /proc. */
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "/proc/%s/ns/%s", argv[1], spaces[i].name);
        files[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (files[i] < 0) {
            fail(path);
        }
    }
    for (int i = 0; i < 3; i++) {
        if (setns(files[i], spaces[i].type) != 0) {
            fail("entering the bed");
        }
    }
    /* Entering a mount namespace moves to its root. */
    if (chdir(folder) != 0) {
        fail(folder);
    }

    /* No signal may come between the fork and the handlers. */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    child = fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        /* The command must not outlive this process, not even when this one is killed. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(argv[2], argv + 2);
        int status = errno == ENOENT ? 127 : 126;
        fprintf(stderr, "bed: error: %s: %s\n", argv[2], strerror(errno));
        _exit(status);
    }
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) {
        struct sigaction action = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
        sigaction(passed_on[i], NULL, &old);
        if (old.sa_handler != SIG_IGN) { /* as under nohup: ignored here, ignored there */
            sigaction(passed_on[i], &action, NULL);
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);

    for (;;) {
        int status;
        if (waitpid(child, &status, WUNTRACED) < 0) {
            if (errno == EINTR) {
                continue;
            }
            fail("wait");
        }
        if (WIFSTOPPED(status)) { /* Ctrl-Z: stop together, continue together */
            raise(SIGSTOP);
            kill(child, SIGCONT);
        } else if (WIFEXITED(status)) {
            return WEXITSTATUS(status);
        } else {
            /* End the same way, so that a shell sees what it would have seen; but leave no core of this one. */
            struct rlimit none = {0, 0};
            setrlimit(RLIMIT_CORE, &none);
            signal(WTERMSIG(status), SIG_DFL);
            raise(WTERMSIG(status));
            return 128 + WTERMSIG(status);
        }
    }
}
