/** Rows of a small cluster, for tests against the stand-in agent. */
import { type FakeAgent, fakeJob, rowsHandler } from './fake-agent.ts';

export const instances = [
  {
    name: 'db1',
    uuid: 'u-db1',
    hypervisor: 'kvm',
    os: 'noop',
    pnode: 'n2',
    status: 'ADMIN_down',
    oper_ram: null,
    disk_template: 'file',
    'disk.sizes': [1024, 512],
    'nic.macs': ['aa:00:00:00:00:01'],
    beparams: { maxmem: 512, minmem: 256, vcpus: 2 },
    hvparams: { acpi: true },
    tags: [],
  },
  {
    name: 'web1',
    uuid: 'u-web1',
    hypervisor: 'kvm',
    os: 'debian+small',
    pnode: 'n1',
    status: 'running',
    oper_ram: 1536,
    disk_template: 'sharedfile',
    'disk.sizes': [2048],
    'nic.macs': [],
    beparams: { maxmem: 1536, minmem: 1536, vcpus: 1 },
    hvparams: {},
    tags: ['prod', 'web'],
  },
  {
    name: 'web2',
    uuid: 'u-web2',
    hypervisor: 'kvm',
    os: 'noop',
    pnode: 'n3',
    status: 'ERROR_nodedown',
    oper_ram: null,
    tags: ['web'],
  },
];
export const nodes = [
  {
    name: 'n1',
    uuid: 'u-n1',
    dtotal: 102_400,
    dfree: 51_200,
    mtotal: 24_000,
    mnode: 2_048,
    mfree: 21_952,
    pinst_cnt: 1,
    sinst_cnt: 0,
    offline: false,
    tags: [],
  },
  {
    name: 'n2',
    uuid: 'u-n2',
    dtotal: null,
    dfree: null,
    mtotal: null,
    mnode: null,
    mfree: null,
    pinst_cnt: 1,
    sinst_cnt: 0,
    offline: true,
    tags: ['rack1'],
  },
];
export const jobs = [
  { id: 1, uuid: 'j1', status: 'success', summary: ['INSTANCE_CREATE(web1)'] },
  { id: 12, uuid: 'j12', status: 'waiting', summary: ['INSTANCE_REMOVE(db1)', 'TEST_DELAY(5)'] },
];
export const oses = [
  { name: 'debian', variants: ['small'], valid: true },
  { name: 'noop', variants: [], valid: true },
  { name: 'broken', variants: [], valid: false },
];
export const cluster = [
  { cluster_name: 'lab', name: 'lab', uuid: 'c', tags: ['blue'], ctime: 0, ha: { lease_ms: 10_000 } },
];
export const groups = [
  {
    name: 'default',
    uuid: 'g',
    node_cnt: 2,
    pinst_cnt: 3,
    alloc_policy: 'preferred',
    ndparams: {},
    tags: [],
  },
];

/** Forgets what was asked, and answers queries, submissions and watches as a healthy cluster would. */
export function resetFakeCluster(agent: FakeAgent): void {
  agent.requests.length = 0;
  agent.handle(
    'query',
    rowsHandler({ instance: instances, node: nodes, job: jobs, os: oses, cluster, group: groups }),
  );
  agent.handle('submit', ({ params }) => ({ jobs: (params.jobs as unknown[]).map((_, at) => 40 + at) }));
  agent.handle('job.watch', ({ params }) => fakeJob(Number(params.job), 'success'));
}
