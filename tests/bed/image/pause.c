/*
 * The container that holds a Pod's namespaces open. It sleeps until it gets a signal, and collects the
 * processes of the Pod that lost their parent, for which it is the init when the Pod shares one PID namespace.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
    (void)signal;
    _exit(0);
}

static void collect(int signal) {
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGCHLD, collect);
    for (;;) {
        pause();
    }
}
