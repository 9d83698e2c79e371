// Holds a Pod's namespaces, as the image `pause` of every kubelet does: waits, adopts orphaned processes, ends at SIGTERM.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) {
  (void)signal;
  _exit(0);
}
static void take_in(int signal) {
  (void)signal;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  signal(SIGINT, end);
  signal(SIGTERM, end);
  signal(SIGCHLD, take_in);
  for (;;) pause();
}
