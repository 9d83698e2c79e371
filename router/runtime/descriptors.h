#pragma once

namespace router::runtime {

/// How the process's descriptors are shared when they run short. The kernel always assigns the lowest free number, so the
/// number of a new descriptor shows how many are in use. A quarter of the limit (4096 at most) is not for clients, a sixteenth
/// (64 at most) is not for connections to replicas, a thirty-second (32 at most) is only for logs and files. Any thread; each
/// call reads the current limit (a system call).

/// Raises the limit of this process to its hard limit. Called once, at the start.
void raise_descriptor_limit();

/// A client's descriptor must have a lower number than this.
int client_descriptors_end();
/// The same for a connection to a replica.
int replica_descriptors_end();
/// The same for a connection of an operator.
int operator_descriptors_end();
/// Whether the next descriptor would have a number that a client may use.
bool has_client_descriptors();

/// Whether `error` means that this machine ran out of a resource, so that the peer is not at fault.
bool is_our_shortage(int error);

}  // namespace router::runtime
