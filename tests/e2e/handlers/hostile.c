// A handler that does to each item what the item says: {"n": 7, "do": "crash"}. Without "do", or
// with one it does not know, it answers as a handler should.
//
//   hostile          persistent; reads requests
//   hostile once     a process an item; the item on its standard input
//   hostile WHAT     does WHAT before it reads anything: exit, never_read, slow, answer_unasked
//
// In C, because it is started ten thousand times.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { line_room = 1 << 16, flood_bytes = 100 << 20, chunk = 1 << 16 };

static void say(const char* text) {
  if (write(1, text, strlen(text)) < 0) _exit(1);
}

static void flood(int stream, char end) {
  static char block[chunk];
  memset(block, 'x', sizeof block);
  if (end != '\0') block[sizeof block - 1] = end;
  for (int sent = 0; sent < flood_bytes; sent += chunk) {
    if (write(stream, block, sizeof block) < 0) _exit(1);
  }
}

static void hang(void) {
  for (;;) pause();
}

/// A process of its own that holds our pipes open for a while.
static void leave_behind(int outside_group, unsigned seconds) {
  int gone[2];
  char none;
  if (pipe(gone) != 0) _exit(1);
  if (fork() != 0) {  // stays until the other has left the group, or would end with it
    close(gone[1]);
    if (read(gone[0], &none, 1) != 0) _exit(1);
    close(gone[0]);
    return;
  }
  if (outside_group) setsid();
  close(gone[0]);
  close(gone[1]);
  signal(SIGTERM, SIG_IGN);
  sleep(seconds);
  _exit(0);
}

static void wait_for_file(const char* path) {
  struct stat about;
  while (stat(path, &about) != 0) usleep(2000);
}

/// The text of a string member, in a place of its own.
static const char* text_of(const char* line, const char* name) {
  static char value[512];
  char wanted[32];
  snprintf(wanted, sizeof wanted, "\"%s\": \"", name);
  const char* const at = strstr(line, wanted);
  if (at == NULL) return "";
  const char* const begin = at + strlen(wanted);
  const size_t size = strcspn(begin, "\"");
  snprintf(value, sizeof value, "%.*s", (int)size, begin);
  return value;
}

static long number_of(const char* line, const char* name) {
  char wanted[32];
  snprintf(wanted, sizeof wanted, "\"%s\": ", name);
  const char* const at = strstr(line, wanted);
  return at == NULL ? 0 : atol(at + strlen(wanted));
}

/// What both kinds can do. True: the item still wants its answer.
static int misbehave(const char* what, const char* line) {
  if (strcmp(what, "gate") == 0) wait_for_file(text_of(line, "path"));
  if (strcmp(what, "crash") == 0) raise(SIGSEGV);
  if (strcmp(what, "stop") == 0) raise(SIGSTOP);
  if (strcmp(what, "hang") == 0) hang();
  if (strcmp(what, "ignore_term") == 0) {
    signal(SIGTERM, SIG_IGN);
    hang();
  }
  if (strcmp(what, "close_stdout") == 0 || strcmp(what, "close_both") == 0) close(1);
  if (strcmp(what, "close_stdin") == 0 || strcmp(what, "close_both") == 0) close(0);
  if (strncmp(what, "close_", 6) == 0) hang();
  if (strcmp(what, "grandchild") == 0) {
    leave_behind(0, 1000);
    _exit(0);
  }
  if (strcmp(what, "daemon") == 0) {
    leave_behind(1, 2);
    _exit(0);
  }
  if (strcmp(what, "stderr_flood") == 0) flood(2, '\n');
  if (strcmp(what, "stderr_without_newline") == 0) flood(2, '\0');
  if (strcmp(what, "huge") == 0) flood(1, '\0');
  return 1;
}

static long answered = 4711000;  // the last request that was answered as it should

static void answer_request(const char* line) {
  const long id = number_of(line, "id");
  const long n = number_of(line, "n");
  char what[64];
  char answer[256];
  snprintf(what, sizeof what, "%s", text_of(line, "do"));
  snprintf(answer, sizeof answer, "{\"id\": %ld, \"ok\": {\"n\": %ld}}\n", id, n);
  if (strcmp(what, "exit") == 0) _exit(0);
  if (strcmp(what, "rubbish") == 0) {
    say("Loading the model, please wait ...\n");
  } else if (strcmp(what, "unknown_id") == 0) {
    say("{\"id\": 4711000, \"ok\": 1}\n");
  } else if (strcmp(what, "id_of_another") == 0) {
    // Of one that has its answer. That of one that waits for its own could not be told from it.
    snprintf(answer, sizeof answer, "{\"id\": %ld, \"ok\": {\"n\": %ld}}\n", answered, n);
    say(answer);
  } else if (strcmp(what, "twice") == 0) {
    say(answer);
    say(answer);
  } else if (strcmp(what, "without_newline") == 0) {
    answer[strlen(answer) - 1] = '\0';
    say(answer);
    hang();
  } else if (strcmp(what, "half") == 0) {
    answer[strlen(answer) / 2] = '\0';
    say(answer);
    _exit(0);
  } else if (strcmp(what, "late") == 0) {
    sleep(10);  // which is beyond any timeout it is given
    say(answer);
  } else if (strcmp(what, "bad_utf8") == 0) {
    say("{\"id\": 1, \"ok\": \"\xff\xfe\"}\n");
  } else if (strcmp(what, "nul") == 0) {
    if (write(1, "{\"id\": \0}\n", 10) < 0) _exit(1);
  } else if (strcmp(what, "member_twice") == 0) {
    snprintf(answer, sizeof answer, "{\"id\": %ld, \"ok\": 1, \"id\": %ld}\n", id, id);
    say(answer);
  } else if (strcmp(what, "deep") == 0) {
    static char nest[200001];
    memset(nest, '[', 100000);
    memset(nest + 100000, ']', 100000);
    snprintf(answer, sizeof answer, "{\"id\": %ld, \"ok\": {\"n\": %ld, \"deep\": ", id, n);
    say(answer);
    say(nest);
    say("}}\n");
  } else if (strcmp(what, "answer_unasked") == 0) {
    for (;;) say("{\"id\": 4711000, \"ok\": 1}\n");
  } else if (misbehave(what, line)) {
    say(answer);
    answered = id;
  }
}

static void answer_once(const char* item) {
  char what[64];
  char answer[256];
  snprintf(what, sizeof what, "%s", text_of(item, "do"));
  snprintf(answer, sizeof answer, "{\"n\": %ld}\n", number_of(item, "n"));
  if (strcmp(what, "exit") == 0) _exit(1);
  if (strcmp(what, "later") == 0) _exit(75);
  if (strcmp(what, "half") == 0) say("one line\nand another\n");
  if (strcmp(what, "half") == 0 || strcmp(what, "nothing") == 0) _exit(0);
  if (strcmp(what, "daemon_answers") == 0) {
    leave_behind(1, 2);
  } else if (strcmp(what, "grandchild_answers") == 0) {
    leave_behind(0, 1000);
  } else {
    misbehave(what, item);
  }
  say(answer);
  _exit(0);
}

int main(int count, char** arguments) {
  static char line[line_room];
  const char* const mode = count > 1 ? arguments[1] : "";
  const int slow = strcmp(mode, "slow") == 0;
  if (strcmp(mode, "exit") == 0) return 1;
  if (strcmp(mode, "never_read") == 0) hang();
  if (strcmp(mode, "answer_unasked") == 0) {
    for (;;) say("{\"id\": 4711000, \"ok\": 1}\n");
  }
  if (slow) setvbuf(stdin, NULL, _IONBF, 0);  // a byte at a time
  const int once = strcmp(mode, "once") == 0;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (slow) usleep(1000);
    if (once) answer_once(line);
    answer_request(line);
  }
  return 0;
}
