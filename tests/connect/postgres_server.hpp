/// A PostgreSQL server of a test's own: on a free port of loopback, in a temporary folder, as the
/// user postgres where the test is root, ended with the test.
///
/// `initdb` takes more than a second, so it is done once a build folder, and copied from there.
#pragma once
#include "connect/temporary_folder.hpp"

#include <csignal>
#include <filesystem>
#include <string>

namespace brigade::test {

class postgres_server {
 public:
  postgres_server();
  ~postgres_server();
  postgres_server(const postgres_server&) = delete;
  postgres_server& operator=(const postgres_server&) = delete;

  [[nodiscard]] std::string conninfo() const;
  [[nodiscard]] int port() const { return port_; }
  /// Starts it, and waits until it answers.
  void start();
  /// SIGINT is the fast stop, SIGQUIT the immediate one.
  void stop(int signal = SIGINT);
  void send(int signal) const;

  /// What psql would print of a query: columns divided by `,`, rows ended by `;`.
  std::string ask(const std::string& sql) const;
  /// What it has logged; statements among it behind `ALTER SYSTEM SET log_statement = 'all'`.
  [[nodiscard]] std::string log() const { return folder_.read("log"); }

 private:
  temporary_folder folder_;
  std::string data_;
  int port_ = 0;
  int pid_ = -1;
};

}  // namespace brigade::test
