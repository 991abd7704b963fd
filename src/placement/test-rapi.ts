/** Answers of a remote API, by path: a cluster of three nodes and as many instances. */

const spec = (memory: number): object => ({
  'memory-size': memory,
  'disk-size': 128,
  'disk-count': 1,
  'cpu-count': 1,
  'nic-count': 1,
  'spindle-use': 1,
});

const ipolicy = {
  std: spec(128),
  minmax: [{ min: spec(16), max: spec(32_768) }],
  'vcpu-ratio': 4,
  'spindle-ratio': 32,
  'disk-templates': ['diskless', 'drbd'],
};

const node = (name: string, changes: object = {}): object => ({
  name,
  uuid: `uuid-${name}`,
  offline: false,
  drained: false,
  vm_capable: true,
  'group.uuid': 'uuid-default',
  mtotal: 24_105,
  mnode: 259,
  mfree: 22_655,
  dtotal: 258_019,
  dfree: 76_101,
  ctotal: 2,
  cnos: 1,
  sptotal: null,
  spfree: null,
  ndparams: { exclusive_storage: false, spindle_count: 2, cpu_speed: 1 },
  tags: [],
  ...changes,
});

const instance = (name: string, pnode: string, snodes: readonly string[], changes: object = {}): object => ({
  name,
  uuid: `uuid-${name}`,
  pnode,
  snodes,
  status: 'running',
  disk_template: snodes.length === 0 ? 'diskless' : 'drbd',
  disk_usage: 256,
  'disk.sizes': [128],
  'disk.spindles': [null],
  oper_ram: 512,
  beparams: { vcpus: 2, auto_balance: true, spindle_use: 1, minmem: 128, maxmem: 1024, memory: 1024 },
  'nic.macs': ['aa:00:00:00:00:01'],
  'nic.networks': ['uuid-net'],
  tags: [],
  ...changes,
});

export const rapi_answers: { readonly [path: string]: unknown } = {
  '/2/info': { master: 'n1', default_hypervisor: 'fake', tags: ['htools:nlocation:rack'], ipolicy },
  '/2/groups': [{ name: 'default', uuid: 'uuid-default', alloc_policy: 'preferred', tags: ['g'], ipolicy }],
  '/2/nodes': [node('n1', { tags: ['rack:a'] }), node('n2'), node('n3')],
  '/2/instances': [
    instance('i1', 'n1', ['n2']),
    instance('i2', 'n2', []),
    instance('i3', 'n3', [], { oper_ram: null, status: 'ADMIN_down' }),
  ],
  '/2/networks': [
    { name: 'net', uuid: 'uuid-net', group_list: [['default', 'bridged', 'br0', '']] },
    { name: 'other', uuid: 'uuid-other', group_list: [] },
  ],
};

/** One of the nodes or instances of the answers, changed. */
export const rapi_node = node;
export const rapi_instance = instance;
