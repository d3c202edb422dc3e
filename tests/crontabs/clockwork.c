/* Preloaded into Debian's cron: its own code runs unchanged, on a clock that moves only when it sleeps, so that a year
 * takes seconds, with all its files below one folder, so that the machine's own are not touched, and with each job that
 * it starts written down instead of run.
 *
 *   CLOCKWORK_ROOT   folder that stands for / in the paths that cron uses
 *   CLOCKWORK_FROM   the instant at which it is started, seconds
 *   CLOCKWORK_UNTIL  the instant at which it ends
 *   CLOCKWORK_OUT    one line each: "instant file" for a job, "! text" for what it logs
 *
 * Built with -DRUN it runs the jobs, too. The ten seconds that cron waits between the minutes that a clock change left
 * out take no time: they are there for the machine's sake.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static time_t now, until;
static char file[256];   /* the crontab that was opened last */
static FILE *out;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  const char *from = getenv("CLOCKWORK_FROM"), *to = getenv("CLOCKWORK_UNTIL"), *path = getenv("CLOCKWORK_OUT");
  if (!from || !to || !path || !getenv("CLOCKWORK_ROOT")) { fputs("clockwork: a variable is missing\n", stderr); _exit(2); }
  now = atoll(from);
  until = atoll(to);
  out = REAL(fopen)(path, "a");
  if (!out) { perror(path); _exit(2); }
#if defined(__x86_64__) && !defined(RUN)
  setvbuf(out, NULL, _IOFBF, 1 << 16);
#else
  setvbuf(out, NULL, _IOLBF, 1 << 12);   /* its children write, too */
#endif
  unsetenv("LD_PRELOAD");
}

/* --- the clock --- */

time_t time(time_t *t) {
  if (t) *t = now;
  return now;
}

unsigned int sleep(unsigned int seconds) {
  if (seconds != 10) now += seconds;
  if (now >= until) { fflush(out); _exit(0); }
  return 0;
}

/* --- the files --- */

static const char *moved(const char *path) {
  static char buffers[4][4096];
  static int next;
  const char *prefixes[] = {"/etc/cron", "/var/spool/cron", "/var/run/", "/run/"};
  for (int i = 0; i < 4; i++)
    if (!strncmp(path, prefixes[i], strlen(prefixes[i]))) {
      char *buffer = buffers[next++ % 4];
      snprintf(buffer, sizeof buffers[0], "%s%s", getenv("CLOCKWORK_ROOT"), path);
      return buffer;
    }
  return path;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = va_arg(rest, int);
  va_end(rest);
  const char *base = strrchr(path, '/');
  snprintf(file, sizeof file, "%s", base ? base + 1 : path);
  return REAL(open)(moved(path), flags, mode);
}
int creat(const char *path, mode_t mode) { return REAL(creat)(moved(path), mode); }
int access(const char *path, int mode) { return REAL(access)(moved(path), mode); }
int mkdir(const char *path, mode_t mode) { return REAL(mkdir)(moved(path), mode); }
int chdir(const char *path) { return REAL(chdir)(moved(path)); }
int chown(const char *path, uid_t owner, gid_t group) { (void)path, (void)owner, (void)group; return 0; }
DIR *opendir(const char *path) { return REAL(opendir)(moved(path)); }
FILE *fopen(const char *path, const char *mode) { return REAL(fopen)(moved(path), mode); }

/* No file changes while it runs: each has one age, and belongs to root. */
static int aged(struct stat *s) {
  s->st_mtime = 1000000000;
  s->st_uid = 0;
  s->st_gid = 0;
  return 0;
}
int stat(const char *path, struct stat *s) {
  static int looked;
  if (looked > 16) { memset(s, 0, sizeof *s); s->st_mode = S_IFREG | 0600; return aged(s); }
  looked++;
  int state = REAL(stat)(moved(path), s);
  return state ? state : aged(s);
}
int lstat(const char *path, struct stat *s) {
  int state = REAL(lstat)(moved(path), s);
  return state ? state : aged(s);
}
int fstat(int fd, struct stat *s) {
  int state = REAL(fstat)(fd, s);
  return state ? state : aged(s);
}

/* --- the users: everybody is known, and is called as the crontab that names him --- */

struct passwd *getpwnam(const char *name) {
  static struct passwd user;
  (void)name;
  user = (struct passwd){.pw_name = file, .pw_uid = 0, .pw_gid = 0, .pw_dir = "/", .pw_shell = "/bin/sh"};
  return &user;
}
int seteuid(uid_t id) { (void)id; return 0; }
int setegid(gid_t id) { (void)id; return 0; }
int setuid(uid_t id) { (void)id; return 0; }
int setgid(gid_t id) { (void)id; return 0; }
int initgroups(const char *user, gid_t group) { (void)user, (void)group; return 0; }
int is_selinux_enabled(void) { return 0; }

/* --- the log --- */

void openlog(const char *name, int option, int facility) { (void)name, (void)option, (void)facility; }
void closelog(void) {}
void __syslog_chk(int priority, int flag, const char *format, ...) {
  va_list rest;
  (void)priority, (void)flag;
  char text[4096];
  va_start(rest, format);
  vsnprintf(text, sizeof text, format, rest);
  va_end(rest);
  if (!strstr(text, "pidfile")) fprintf(out, "! %s\n", text);
}

/* --- the jobs --- */

int pam_set_item(void *h, int type, const void *item) { (void)h, (void)type, (void)item; return 0; }
int pam_acct_mgmt(void *h, int flags) { (void)h, (void)flags; return 0; }
int pam_setcred(void *h, int flags) { (void)h, (void)flags; return 0; }
int pam_open_session(void *h, int flags) { (void)h, (void)flags; return 0; }
int pam_close_session(void *h, int flags) { (void)h, (void)flags; return 0; }
int pam_end(void *h, int state) { (void)h, (void)state; return 0; }
char **pam_getenvlist(void *h) { (void)h; return calloc(1, sizeof(char *)); }

#ifdef RUN

int pam_start(const char *service, const char *user, const void *conv, void **h) {
  (void)service, (void)user, (void)conv;
  *h = NULL;
  return 0;
}

#else

/* The child learns whose job it is, and is done. Where it can be, it is no process at all: the stack of the caller is
 * left as it was, and its fork returns a second time, as after vfork. */
int pam_start(const char *service, const char *user, const void *conv, void **h) {
  (void)service, (void)conv, (void)h;
  fprintf(out, "%lld %s\n", (long long)now, user);
#ifdef __x86_64__
  extern void clockwork_parent(void) __attribute__((noreturn));
  clockwork_parent();
#else
  fflush(out);
  _exit(0);
#endif
}

#ifdef __x86_64__
int pipe(int fds[2]) { fds[0] = fds[1] = -1; return 0; }
FILE *tmpfile(void) { return stderr; }
__asm__(
    ".bss\n"
    "saved: .skip 64\n"
    ".text\n"
    ".globl fork\n.type fork,@function\nfork:\n"
    "  lea saved(%rip), %rdx\n"
    "  mov (%rsp), %rcx\n  mov %rcx, (%rdx)\n"
    "  mov %rsp, 8(%rdx)\n  mov %rbx, 16(%rdx)\n  mov %rbp, 24(%rdx)\n"
    "  mov %r12, 32(%rdx)\n  mov %r13, 40(%rdx)\n  mov %r14, 48(%rdx)\n  mov %r15, 56(%rdx)\n"
    "  xor %eax, %eax\n  ret\n"
    ".globl clockwork_parent\n.type clockwork_parent,@function\nclockwork_parent:\n"
    "  lea saved(%rip), %rdx\n"
    "  mov 8(%rdx), %rsp\n  mov 16(%rdx), %rbx\n  mov 24(%rdx), %rbp\n"
    "  mov 32(%rdx), %r12\n  mov 40(%rdx), %r13\n  mov 48(%rdx), %r14\n  mov 56(%rdx), %r15\n"
    "  mov (%rdx), %rcx\n  mov %rcx, (%rsp)\n"
    "  mov $4242, %eax\n  ret\n");
#endif
#endif
