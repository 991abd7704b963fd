/**
 * Every command with what is wrong: names, types, sizes, states. The error names the value and what was expected, the
 * exit status is the table's, and nothing is changed, on any node: where the request is wrong by itself not even the
 * log has an entry of it (same state hash), where only the state says so the job has ended as an error without effect.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { cleanUpOf, mustSucceed, observe, withHookedLab } from './jobs-support.ts';
import { type CliResult, cli, type Lab, rows, sameState, statusOf } from './support.ts';

const long = 'x'.repeat(300);

interface Case {
  readonly args: readonly string[];
  readonly exit: number;
  /** On standard error. */
  readonly says: RegExp;
  /** Refused by a job: it is in the queue, and nothing else is different. */
  readonly job?: true;
}

const refused = (exit: number, says: RegExp, ...args: readonly string[]): Case => ({ args, exit, says });
const failed = (says: RegExp, ...args: readonly string[]): Case => ({ args, exit: 1, says, job: true });

const add = (name: string, ...more: readonly string[]): readonly string[] => [
  ...['instance', 'add', '-t', 'sharedfile', '--disk', '0:size=4m', '-o', 'noop', '--no-install', '-n', 'n2'],
  ...more,
  '--',
  name,
];
const disk = (spec: string): readonly string[] => [
  ...['instance', 'add', 'new', '-t', 'sharedfile', '--disk', spec, '-o', 'noop', '--no-install', '-n', 'n2'],
];

const groups: Readonly<Record<string, readonly Case[]>> = {
  'names of instances': [
    ...['a b', 'a/b', '../x', '..', '.', 'é', 'WEB', 'a;rm', 'a\nb', '*', '-x', 'a.', '$(id)', '"'].map(
      (name) => refused(2, /is no host name: expected labels/, ...add(name)),
    ),
    refused(2, /"x{20,}.*expected a non-empty string of at most 255/, ...add(long)),
    refused(2, /"x{254}|"x{20,}.*(is no host name|253)/, ...add('x'.repeat(254))),
    refused(2, /instance_name is "": expected a non-empty string/, ...add('')),
    refused(2, /missing required argument 'new-name'/, 'instance', 'add'),
    failed(/there is an instance web already/, ...add('web')),
  ],
  'sizes of disks and memory': [
    refused(2, /disk 0: size is 0: expected MiB/, ...disk('0:size=0')),
    refused(2, /size "-5" is no size/, ...disk('0:size=-5')),
    refused(2, /size "abc" is no size/, ...disk('0:size=abc')),
    refused(2, /size "" is no size|has no size/, ...disk('0:size=')),
    refused(2, /size "99999999999t" is no size/, ...disk('0:size=99999999999t')),
    refused(2, /size is 2097152000: expected at most 1073741824 MiB/, ...disk('0:size=2000t')),
    refused(2, /"x" in "x:size=4m" is no index/, ...disk('x:size=4m')),
    refused(2, /index 3 is given but 0 is not/, ...disk('3:size=4m')),
    refused(2, /unknown field "colour"|colour/, ...disk('0:size=4m,colour=red')),
    refused(2, /memory is 0: expected a size in MiB/, ...add('new', '-B', 'memory=0')),
    refused(2, /memory: "-1" is no size/, ...add('new', '-B', 'memory=-1')),
    refused(2, /memory: "lots" is no size/, ...add('new', '-B', 'memory=lots')),
    refused(2, /vcpus is 0: expected an integer from 1/, ...add('new', '-B', 'vcpus=0')),
    refused(2, /vcpus is 1000000: expected an integer/, ...add('new', '-B', 'vcpus=1000000')),
    refused(2, /"colour" is no backend parameter/, ...add('new', '-B', 'colour=red')),
    refused(2, /memory has no value/, ...add('new', '-B', 'memory')),
  ],
  'other parameters of a new instance': [
    refused(2, /no disk was given/, 'instance', 'add', 'new', '-t', 'sharedfile', '-o', 'noop'),
    refused(2, /disk_template is "drbd": expected one of/, ...add('new', '-t', 'drbd')),
    refused(2, /diskless has no disks/, 'instance', 'add', 'new', '-t', 'diskless', '--disk', '0:size=4m'),
    refused(2, /no operating system was given/, 'instance', 'add', 'new', '-t', 'sharedfile', '-s', '4m'),
    failed(
      /OS "nosuch" is not known here; known: .*noop/,
      'instance',
      'add',
      'new',
      '-t',
      'sharedfile',
      '-s',
      '4m',
      '-o',
      'nosuch',
    ),
    failed(
      /has no variant "nosuch"; it has: default/,
      'instance',
      'add',
      'new',
      '-t',
      'sharedfile',
      '-s',
      '4m',
      '-o',
      'skein-busybox+nosuch',
    ),
    failed(/there is no node "nosuch"/, ...add('new', '-n', 'nosuch')),
    failed(
      /there is no node group "nosuch"/,
      'instance',
      'add',
      'new',
      '-t',
      'sharedfile',
      '-s',
      '4m',
      '-o',
      'noop',
      '-g',
      'nosuch',
    ),
    failed(/hypervisor "nosuch" is not enabled: expected one of fake/, ...add('new', '-H', 'nosuch:x=1')),
    failed(/unknown fake hypervisor parameter "x"/, ...add('new', '-H', 'fake:x=1')),
    failed(/bridge "nosuch" does not exist/, ...add('new', '--net', '0:link=nosuch')),
    refused(2, /nic 0: "zz" is no MAC address/, ...add('new', '--net', '0:mac=zz')),
    refused(2, /nic 0: "02:00:00:00:00" is no MAC/, ...add('new', '--net', '0:mac=02:00:00:00:00')),
    refused(2, /nic 0: "1.2.3.999" is no IP address/, ...add('new', '--net', '0:ip=1.2.3.999')),
    refused(2, /mode is "teleport": expected one of/, ...add('new', '--net', '0:mode=teleport')),
    refused(2, /"a b" is no tag/, ...add('new', '--tags', 'a b')),
    refused(2, /"x{20,}.*is no tag: expected 1 to 128/, ...add('new', '--tags', `a,${long}`)),
    refused(2, /--priority "urgent" is not known/, ...add('new', '--priority', 'urgent')),
    refused(2, /--dry-run is not supported/, ...add('new', '--dry-run')),
    refused(2, /unknown option '--nosuch'/, ...add('new', '--nosuch')),
  ],
  'instances that are there': [
    refused(2, /nothing was named/, 'instance', 'startup'),
    ...['startup', 'shutdown', 'reboot'].map((verb) =>
      failed(/there is no instance "nosuch"/, 'instance', verb, 'nosuch'),
    ),
    failed(/there is no instance "nosuch"/, 'instance', 'failover', '-f', 'nosuch'),
    failed(/there is no instance "nosuch"/, 'instance', 'remove', '-f', 'nosuch'),
    failed(/there is no instance "nosuch"/, 'instance', 'modify', 'nosuch', '-B', 'memory=128m'),
    refused(2, /--timeout: "soon" is no whole number/, 'instance', 'shutdown', 'web', '--timeout', 'soon'),
    failed(/instance idle is down, not up/, 'instance', 'reboot', 'idle'),
    refused(2, /reboot type "warm" is not known/, 'instance', 'reboot', '-t', 'warm', 'web'),
    failed(/has disk template file: expected sharedfile or diskless/, 'instance', 'failover', '-f', 'local'),
    failed(/there is no node "nosuch"/, 'instance', 'failover', '-f', '-n', 'nosuch', 'web'),
    failed(/instance web is on node n2 already/, 'instance', 'failover', '-f', '-n', 'n2', 'web'),
    refused(13, /will stop web .*no terminal to ask on/, 'instance', 'failover', 'web'),
    refused(13, /will remove instance web.*disks are lost/, 'instance', 'remove', 'web'),
    refused(2, /nothing to change on web/, 'instance', 'modify', 'web'),
    refused(2, /memory is 0: expected a size/, 'instance', 'modify', 'web', '-B', 'memory=0'),
    failed(/instance web is up, not offline/, 'instance', 'modify', 'web', '--online'),
    failed(/instance web is up: expected it to be down/, 'instance', 'modify', 'web', '--offline'),
    ...['info', 'list', 'console', 'why'].map((verb) =>
      refused(1, /instance "nosuch" does not exist/, 'instance', verb, 'nosuch'),
    ),
    refused(14, /"nosuch" is no field of an instance/, 'instance', 'list', '-o', 'nosuch'),
  ],
  nodes: [
    ...['info', 'list'].map((verb) => refused(1, /node "nosuch" does not exist/, 'node', verb, 'nosuch')),
    failed(/there is no node "nosuch"/, 'node', 'modify', 'nosuch', '-D', 'yes'),
    refused(2, /nothing to change on n2/, 'node', 'modify', 'n2'),
    refused(2, /"maybe" is neither yes nor no/, 'node', 'modify', 'n2', '-D', 'maybe'),
    refused(2, /offline and drained exclude each other/, 'node', 'modify', 'n2', '-D', 'yes', '-O', 'yes'),
    refused(2, /secondary_ip: "300.1.1.1" is no IP address/, 'node', 'modify', 'n2', '-s', '300.1.1.1'),
    refused(
      2,
      /unknown node parameter "x": expected one of/,
      'node',
      'modify',
      'n2',
      '--node-parameters',
      'x=1',
    ),
    failed(/node n2 owns instances \(.*web/, 'node', 'modify', 'n2', '--vm-capable', 'no'),
    failed(/node n2 owns instances that should run/, 'node', 'modify', 'n2', '-O', 'yes'),
    failed(/there is no node "nosuch"/, 'node', 'remove', '-f', 'nosuch'),
    failed(/node n2 owns 2 instances \(.*move or remove them first/, 'node', 'remove', '-f', 'n2'),
    refused(13, /will remove node n3 .*no terminal/, 'node', 'remove', 'n3'),
    refused(2, /--expires "never" is no duration/, 'node', 'add', '--expires', 'never'),
    refused(1, /node group "nosuch" does not exist/, 'node', 'add', '--node-group', 'nosuch'),
    refused(1, /there is no join token nosuch/, 'node', 'revoke-token', 'nosuch'),
  ],
  'the cluster': [
    refused(2, /nothing to change was given/, 'cluster', 'modify'),
    refused(2, /-C: "0" is no whole number/, 'cluster', 'modify', '-C', '0'),
    refused(2, /-C: "many" is no whole number/, 'cluster', 'modify', '-C', 'many'),
    refused(2, /"1e9" is no whole number/, 'cluster', 'modify', '--max-running-jobs', '1e9'),
    refused(
      2,
      /max_running_jobs is 1000000: expected an integer from 1 to 1000/,
      'cluster',
      'modify',
      '--max-running-jobs',
      '1000000',
    ),
    refused(2, /\["xen"\]: expected .*one of kvm, fake/, 'cluster', 'modify', '--enabled-hypervisors', 'xen'),
    refused(
      2,
      /\["nosuch"\]: expected .*one of diskless/,
      'cluster',
      'modify',
      '--enabled-disk-templates',
      'nosuch',
    ),
    failed(
      /sharedfile cannot be disabled: instance/,
      'cluster',
      'modify',
      '--enabled-disk-templates',
      'file',
    ),
    failed(/fake cannot be disabled: instance/, 'cluster', 'modify', '--enabled-hypervisors', 'kvm'),
    failed(/"zz:zz:zz" is no MAC prefix/, 'cluster', 'modify', '-m', 'zz:zz:zz'),
    failed(/"relative" is no directory/, 'cluster', 'modify', '--file-storage-dir', 'relative'),
    failed(/"\/a\/..\/b" is no directory/, 'cluster', 'modify', '--shared-file-storage-dir', '/a/../b'),
    failed(
      /master_netmask is 99: expected a prefix length from 1 to 32/,
      'cluster',
      'modify',
      '--master-netmask',
      '99',
    ),
    refused(
      2,
      /master_netdev is "eth0; reboot": expected the name/,
      'cluster',
      'modify',
      '--master-netdev',
      'eth0; reboot',
    ),
    refused(2, /unknown ha parameter "nosuch": expected one of/, 'cluster', 'modify', '--ha', 'nosuch=1'),
    refused(2, /ha parameter lease_ms is -1: expected|lease_ms/, 'cluster', 'modify', '--ha', 'lease_ms=-1'),
    failed(/lease_ms must be at least three times renew_ms/, 'cluster', 'modify', '--ha', 'lease_ms=1'),
    refused(2, /memory is 0: expected/, 'cluster', 'modify', '-B', 'memory=0'),
    refused(2, /unknown fake hypervisor parameter "x"/, 'cluster', 'modify', '-H', 'fake:x=1'),
    refused(13, /will destroy cluster lab/, 'cluster', 'destroy'),
    failed(/the cluster still has 3 instances/, 'cluster', 'destroy', '-f'),
    refused(2, /--primary-ip <address>' not specified/, 'cluster', 'init', 'again'),
    refused(1, /is a member of cluster lab already/, 'join', 'garbage'),
    refused(1, /node "nosuch" does not exist/, 'raft', 'transfer', 'nosuch'),
  ],
  jobs: [
    ...['0', '-1', 'abc', '1.5', '99999999999999999999', ''].map((id) =>
      refused(2, /is no whole number of at least 1/, 'job', 'info', '--', id),
    ),
    refused(1, /job "99999" does not exist/, 'job', 'info', '99999'),
    ...['watch', 'cancel', 'archive', 'why'].map((verb) =>
      refused(1, /job 99999 does not exist/, 'job', verb, '99999'),
    ),
    refused(2, /no job was named/, 'job', 'cancel'),
    refused(1, /job 99999 does not exist/, 'job', 'change-priority', '--priority', 'high', '99999'),
    refused(2, /--priority <priority>' not specified/, 'job', 'change-priority', '1'),
    refused(2, /--priority "soon" is not known/, 'job', 'change-priority', '--priority', 'soon', '1'),
    refused(2, /"abc" is no whole number/, 'job', 'list', 'abc'),
  ],
  'tags, groups, OS definitions and the rest': [
    failed(/there is no instance "nosuch"/, 'tag', 'add', 'instance', 'nosuch', 'x'),
    refused(2, /"planet" is nothing that has tags/, 'tag', 'add', 'planet', 'web', 'x'),
    refused(2, /"a b" is no tag/, 'tag', 'add', 'instance', 'web', 'a b'),
    refused(2, /"x{20,}.*is no tag/, 'tag', 'add', 'instance', 'web', long),
    refused(2, /no tag was given/, 'tag', 'add', 'instance', 'web'),
    failed(/instance web has no tag absent/, 'tag', 'remove', 'instance', 'web', 'absent'),
    refused(1, /instance "nosuch" does not exist/, 'tag', 'list', 'instance', 'nosuch'),
    refused(2, /"\(" is no regular expression/, 'tag', 'search', '('),
    refused(1, /os "nosuch" does not exist/, 'os', 'info', 'nosuch'),
    refused(1, /group "nosuch" does not exist/, 'group', 'list', 'nosuch'),
    refused(2, /--since: "x" is no whole number/, 'watch', '--since', 'x'),
    refused(2, /--seconds: "0" is no time/, 'watch', '--seconds', '0'),
    refused(2, /unknown command 'nosuch'/, 'nosuch'),
    refused(2, /unknown command 'nosuch'/, 'instance', 'nosuch'),
    refused(2, /unknown option '--nosuch'/, '--nosuch', 'status'),
    refused(
      1,
      /no agent answers on \/nonexistent\/x\.sock: ENOENT/,
      '--socket',
      '/nonexistent/x.sock',
      'status',
    ),
  ],
};

describe('bad input: commands', () => {
  const cleaning = cleanUpOf(after);
  let lab: Lab;
  let pids: readonly (number | undefined)[] = [];
  const agents = async () => Promise.all(lab.nodes.map(async ({ name }) => (await statusOf(lab, name))?.pid));

  before(async () => {
    lab = await withHookedLab(cleaning);
    const instance = (name: string, node: string, template: string, start: boolean) => ({
      OP_ID: 'OP_INSTANCE_CREATE',
      ...{ instance_name: name, mode: 'create', disk_template: template, disks: [{ size: 4 }], nics: [] },
      ...{ os_type: 'noop', no_install: true, beparams: { maxmem: 128, minmem: 128 }, pnode: node, start },
    });
    await mustSucceed(lab, 'n3', [
      instance('web', 'n2', 'sharedfile', true),
      instance('local', 'n2', 'file', true),
      instance('idle', 'n3', 'sharedfile', false),
    ]);
    pids = await agents();
  });

  function check(answer: CliResult, wanted: Case): void {
    const text = `skein ${wanted.args.join(' ').slice(0, 120)}: status ${answer.code}\n${answer.stderr}${answer.stdout}`;
    assert.equal(answer.code, wanted.exit, text);
    assert.match(answer.stderr, wanted.says, text);
    assert.match(answer.stderr, /^Try: \S/m, `says what to try: ${text}`);
    assert.doesNotMatch(answer.stderr, /^\s+at .*:\d+:\d+|undefined|\[object Object\]/m, text);
    assert.doesNotMatch(answer.stderr, /OP_\w+: OP_\w+:/, text);
  }

  for (const [name, cases] of Object.entries(groups)) {
    test(name, { timeout: 120_000 }, async () => {
      for (const [at, wanted] of cases.entries()) {
        const before_hash = (await sameState(lab)).split(':')[1];
        const looks = await observe(lab, 'n1');
        const jobs = (await rows(lab, 'n1', 'job')).length;
        const asked = lab.nodes[at % lab.nodes.length]?.name ?? 'n1';
        const answer = await cli(lab, asked, wanted.args);
        check(answer, wanted);
        const context = `skein ${wanted.args.join(' ').slice(0, 120)}`;
        const hash = (await sameState(lab)).split(':')[1];
        if (!wanted.job) assert.equal(hash, before_hash, `${context} changed the state`);
        assert.deepEqual(await observe(lab, 'n1'), looks, `${context} changed something`);
        assert.equal((await rows(lab, 'n1', 'job')).length - jobs, wanted.job ? 1 : 0, context);
      }
      assert.deepEqual(await agents(), pids, 'an agent has ended');
    });
  }

  test('what is so already is no error: start of a running one, stop of a stopped one, cancel of an ended job', async () => {
    const looks = await observe(lab, 'n1');
    assert.equal((await cli(lab, 'n1', ['instance', 'startup', 'web'])).code, 0);
    assert.equal((await cli(lab, 'n2', ['instance', 'shutdown', 'idle'])).code, 0);
    const canceled = await cli(lab, 'n3', ['job', 'cancel', '-f', '1']);
    assert.equal(canceled.code, 1);
    assert.match(canceled.stdout, /job 1 has ended already \(success\)/);
    assert.deepEqual(await observe(lab, 'n1'), looks);
  });
});
