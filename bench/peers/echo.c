// A handler for `exec` at the speed of memchr: each request's item comes back as it is. All that
// has come is answered in one write.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { room = 1 << 18 };
static char in[room];
static char out[2 * room];

static void write_all(const char* from, const char* end) {
  while (from < end) {
    const ssize_t count = write(1, from, (size_t)(end - from));
    if (count < 0) exit(1);
    from += count;
  }
}

static char* append(char* to, const char* bytes, size_t count) {
  memcpy(to, bytes, count);
  return to + count;
}

int main(void) {
  static const char item[] = "\"item\": ";
  static const char ok[] = ", \"ok\": ";
  size_t have = 0;
  for (;;) {
    const ssize_t got = read(0, in + have, room - have);
    if (got <= 0) return 0;
    have += (size_t)got;
    char* line = in;
    char* to = out;
    for (char* end; (end = memchr(line, '\n', (size_t)(in + have - line))); line = end + 1) {
      *end = '\0';
      const char* const value = strstr(line, item) + sizeof item - 1;
      to = append(to, line, (size_t)(strchr(line, ',') - line));  // {"id": 17
      to = append(to, ok, sizeof ok - 1);
      to = append(to, value, (size_t)(end - value));  // with the request's closing brace
      *to++ = '\n';
    }
    write_all(out, to);
    have = (size_t)(in + have - line);
    memmove(in, line, have);
  }
}
