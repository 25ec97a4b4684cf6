/// Files and standard streams: sources `file` and `stdin`, sinks `file`, `stdout` and `null`.
///
/// A line ends at its newline; one carriage return before it belongs to the end, not to the line.
/// A byte order mark at the beginning of a file is skipped. The last line of a file needs no
/// newline. In `lines` every line is an item, an empty one too; in `ndjson` lines of nothing but
/// blanks are skipped, and a line that is not JSON is taken, and dead-lettered. In `csv` an item is
/// a row, with the newlines in its quotes. A file of gzip or zstd is read as the text that was
/// compressed, and offsets are those of the text.
///
/// Position ids of `file`: `<source>:<file token>:<offset>`, where the offset is that of the line
/// (or of the blank lines before it). A file's token is drawn when it is first seen. It stays the
/// same file as long as its inode, its time of birth, its first bytes and those before the place up
/// to which it was read do, and it is not shorter than that; its name does not matter. So a copy,
/// or a file saved anew by an editor, is a new file, and is read from its beginning.
///
/// In `mode: tail` it has no end: it follows files, through rotation, and new ones; docs/files.md.
/// Half a line waits for its end there.
///
/// A file may be held open for as long as a run takes; nothing on its far side grows impatient.
#pragma once

namespace brigade {

class registry;

/// Adds the sources `file` and `stdin` and the sinks `file`, `stdout` and `null`.
void register_file(registry& to);

}  // namespace brigade
