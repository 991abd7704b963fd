/** NIC mode `user`: QEMU's own user-mode network, for hosts without root. Guests reach out; nobody reaches them. */
import type { NetworkDriver } from '../types.ts';

/** Creates the driver of NIC mode `user`: there is nothing to make or remove. */
export function createUserNetworkDriver(): NetworkDriver {
  return {
    mode: 'user',
    capabilities: () => Promise.resolve({ available: true, reason: '', details: {} }),
    up: () => Promise.resolve({ ifname: null }),
    down: () => Promise.resolve(),
  };
}
