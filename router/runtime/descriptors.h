#pragma once

namespace router::runtime {

/// Who may have the process's descriptors when they run short. The kernel always gives the lowest free number, so the number of
/// a new descriptor tells how many are in use. Clients are taken up to three quarters of the limit, connections to replicas up
/// to fifteen sixteenths, operators' connections up to thirty-one thirty-seconds; the rest is for logs and files. Any thread;
/// the limit in force is asked anew each time (a system call).

/// Raises this process's limit as far as it may by itself. Once, at the start.
void raise_descriptor_limit();

/// A descriptor with this number, or a higher one, is not for a client: at least min(limit / 4, 4096) are kept.
int client_descriptors_end();
/// Likewise for a connection to a replica: at least min(limit / 16, 64) are kept.
int replica_descriptors_end();
/// Likewise for a connection of an operator: at least min(limit / 32, 32) are kept.
int operator_descriptors_end();
/// Whether the next client's descriptor would have a number that is for clients.
bool has_client_descriptors();

/// Whether an operation failed with `error` for want of something of this machine's, so that the peer is not to blame.
bool is_our_shortage(int error);

}  // namespace router::runtime
