#pragma once

namespace router::fleet_link {

/// Makes the kernel end a connection whose peer has vanished, 5 s after the last sign of it: by TCP_USER_TIMEOUT while bytes
/// wait for their acknowledgement, otherwise by keepalive. Long after the fleet has noticed by missing beats; this only frees
/// the link.
void notice_vanishing(int descriptor);

}  // namespace router::fleet_link
