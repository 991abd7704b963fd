/** Guests and NICs for tests. */
import type { GuestSpec, NicSpec } from '../types.ts';

/** A small diskless guest; give what matters to the test. */
export function guestSpec(given: Partial<GuestSpec> = {}): GuestSpec {
  return {
    uuid: '6f1d3ad4-9b0e-4a6e-8a53-1f0a3c1d2b11',
    name: 'web1.example.org',
    epoch: 1,
    memory_mib: 4,
    vcpus: 1,
    hvparams: {},
    disks: [],
    nics: [],
    tags: [],
    protected: true,
    ...given,
  };
}

/** A NIC in user mode; give what matters to the test. */
export function nicSpec(given: Partial<NicSpec> = {}): NicSpec {
  return {
    uuid: '0b9b5f6a-53a8-47f3-a0a2-6d5b1d1d7c01',
    index: 0,
    name: null,
    mac: 'aa:00:00:12:34:56',
    ip: null,
    mode: 'user',
    link: '',
    vlan: '',
    ...given,
  };
}
