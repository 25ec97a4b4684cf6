#include "connect/postgres_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace brigade::test {
namespace {

namespace fs = std::filesystem;

const std::string programs = "/usr/lib/postgresql/15/bin/";

// PostgreSQL refuses to run as root.
const passwd* other_user() {
  if (::geteuid() != 0) return nullptr;
  const passwd* const user = ::getpwnam("postgres");
  if (user == nullptr) throw std::runtime_error("no user postgres: is postgresql-15 installed?");
  return user;
}

void give_away(const fs::path& path) {
  const passwd* const user = other_user();
  if (user == nullptr) return;
  const auto give = [&](const fs::path& each) {
    if (::lchown(each.c_str(), user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("cannot give away " + each.string());
    }
  };
  give(path);
  if (!fs::is_directory(path)) return;
  for (const auto& each : fs::recursive_directory_iterator(path)) give(each.path());
}

int run_program(const std::vector<std::string>& words, const std::string& output) {
  const passwd* const user = other_user();
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int parent = ::getpid();
  const int pid = ::fork();
  if (pid != 0) return pid;
  if (user != nullptr) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0) ::_exit(126);
    if (::setuid(user->pw_uid) != 0) ::_exit(126);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // it does not outlive a test that was killed
  if (::getppid() != parent || ::chdir("/") != 0) ::_exit(126);
  const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(out, 1);
  ::dup2(out, 2);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

void finish(int pid, const char* what) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || status != 0) {
    throw std::runtime_error(std::string(what) + " failed");
  }
}

/// An initialised data folder, made by whoever comes first.
fs::path template_folder() {
  const fs::path beside = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path made = beside / "postgres_template";
  const int lock = ::open((made.string() + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0 || ::flock(lock, LOCK_EX) != 0) throw std::runtime_error("cannot lock the template");
  if (!fs::exists(made)) {
    const temporary_folder work;
    fs::permissions(work.path(), fs::perms(0755));
    give_away(work.path());
    finish(run_program({programs + "initdb", "-D", work / "data", "-A", "trust", "-U", "postgres",
                        "--no-sync", "--wal-segsize=1", "--locale=C.UTF-8", "-E", "UTF8"},
                       work / "log"),
           "initdb");
    const fs::path half = made.string() + ".half";
    fs::remove_all(half);
    fs::copy(work / "data", half, fs::copy_options::recursive);
    fs::rename(half, made);
  }
  ::close(lock);
  return made;
}

int free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (::bind(probe, raw, size) != 0 || ::getsockname(probe, raw, &size) != 0) {
    throw std::runtime_error("no free port");
  }
  ::close(probe);
  return ntohs(address.sin_port);
}

}  // namespace

postgres_server::postgres_server() : data_(folder_ / "data"), port_(free_port()) {
  fs::permissions(folder_.path(), fs::perms(0755));
  fs::copy(template_folder(), data_, fs::copy_options::recursive);
  fs::permissions(data_, fs::perms(0700));
  give_away(folder_.path());
  start();
}

postgres_server::~postgres_server() {
  if (pid_ > 0) stop(SIGQUIT);
}

std::string postgres_server::conninfo() const {
  return "host=127.0.0.1 port=" + std::to_string(port_) + " user=postgres dbname=postgres";
}

void postgres_server::start() {
  pid_ = run_program({programs + "postgres", "-D", data_, "-p", std::to_string(port_), "-c",
                      "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c",
                      "fsync=off", "-c", "max_connections=20", "-c", "lc_messages=C"},
                     folder_ / "log");
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (;;) {
    try {
      if (ask("SELECT 1") == "1;") return;
    } catch (const std::runtime_error&) {
      if (std::chrono::steady_clock::now() > give_up || ::waitpid(pid_, nullptr, WNOHANG) != 0) {
        throw std::runtime_error("the server does not start: " + folder_.read("log"));
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void postgres_server::stop(int signal) {
  ::kill(pid_, SIGCONT);
  ::kill(pid_, signal);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void postgres_server::send(int signal) const { ::kill(pid_, signal); }

// Without a loop or a thread of brigade's: a test may ask while its own loop stands still, and fork
// afterwards.
std::string postgres_server::ask(const std::string& sql) const {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> base(PQconnectdb(conninfo().c_str()),
                                                          &PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> rows(PQexec(base.get(), sql.c_str()),
                                                           &PQclear);
  const ExecStatusType status = PQresultStatus(rows.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw std::runtime_error(PQerrorMessage(base.get()));
  }
  std::string text;
  for (int row = 0; row < PQntuples(rows.get()); ++row) {
    for (int column = 0; column < PQnfields(rows.get()); ++column) {
      text += column > 0 ? "," : "";
      text +=
          PQgetisnull(rows.get(), row, column) == 1 ? "NULL" : PQgetvalue(rows.get(), row, column);
    }
    text += ";";
  }
  return text;
}

}  // namespace brigade::test
