// The least a command can do: prints its argument, which costs one write.
#include <string.h>
#include <unistd.h>

int main(int count, char** arguments) {
  char line[256];
  if (count != 2) return 2;
  const size_t size = strnlen(arguments[1], sizeof line - 1);
  memcpy(line, arguments[1], size);
  line[size] = '\n';
  return write(1, line, size + 1) == (ssize_t)size + 1 ? 0 : 1;
}
