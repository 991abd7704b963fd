/**
 * hbal, hcheck and hinfo against Ganeti's, byte for byte: on the samples of its test suite, on generated clusters of every kind,
 * and with every option that changes what is found. Skipped, with the reason, where the original is not installed.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import { planCost } from '../../bench/placement/plan-cost.ts';
import { unbalancedRequests } from '../../bench/placement/unbalanced.ts';
import { hbal } from '../../cli/htools/hbal.ts';
import { hcheck } from '../../cli/htools/hcheck.ts';
import { hinfo } from '../../cli/htools/hinfo.ts';
import { runHtool } from '../../cli/htools/test-world.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import {
  firstGroup,
  peerMissing,
  runPeer,
  sampleFolder,
  samples,
  samples_missing,
  scratchFolder,
} from './htools-peer.ts';

const folder = sampleFolder();
const no_peer = peerMissing('hbal');
const programs = { hbal, hcheck, hinfo };

async function compare(name: keyof typeof programs, args: readonly string[]): Promise<void> {
  const command = `${name} ${args.join(' ')}`;
  const peer = runPeer(name, args);
  const ours = await runHtool(programs[name], args, (path) => readFileSync(path, 'utf8'));
  assert.equal(ours.out, peer.out, command);
  assert.equal(ours.err, peer.err, command);
  assert.equal(ours.status, peer.status, command);
}

/** Refused in other words: ours name the line. */
const refused = new Set(['invalid-node.data']);
/** Samples at which the original breaks off, because an instance's copy is in another group. */
const breaks_off = new Set(['hbal-split-insts.data']);

test('every sample: scores to the last digit printed, the same moves, the same tables', async (t) => {
  if (folder === null) return t.skip(samples_missing);
  if (no_peer !== false) return t.skip(no_peer);
  let compared = 0;
  for (const file of samples(folder)) {
    if (refused.has(basename(file))) continue;
    await compare('hbal', ['-t', file, '-G', firstGroup(file), '-v', '-v', '-v', '-v', '-C', '-p']);
    await compare('hinfo', ['-t', file, '-v', '-v', '-v', '-p', '--print-instances']);
    await compare('hcheck', ['-t', file, '--no-capacity-checks']);
    if (!breaks_off.has(basename(file))) await compare('hcheck', ['-t', file, '--machine-readable']);
    compared += 1;
  }
  assert.ok(compared >= 48, `${compared} samples, expected at least 48`);
});

const requests: readonly ClusterRequest[] = [
  { nodes: 8, instances: 40 },
  { nodes: 10, instances: 60, seed: 2, mixed_nodes: true, odd_sizes: true },
  { nodes: 8, instances: 40, seed: 3, templates: ['drbd', 'plain', 'sharedfile'], offline: 0.15 },
  { nodes: 9, instances: 50, seed: 4, exclusion: true, locations: true, desired: true },
  { nodes: 9, instances: 50, seed: 5, migration: true, offline: 0.2 },
  { nodes: 9, instances: 50, seed: 6, down: 0.2, unbalanced: 0.2, forthcoming: 0.1 },
  {
    nodes: 12,
    instances: 60,
    seed: 7,
    groups: 2,
    mixed_nodes: true,
    templates: ['drbd', 'plain', 'sharedfile', 'ext'],
    offline: 0.15,
    exclusion: true,
    locations: true,
    desired: true,
    migration: true,
    down: 0.1,
    unbalanced: 0.1,
    forthcoming: 0.05,
  },
  { nodes: 8, instances: 60, seed: 8, fill: 0.8 },
  { nodes: 8, instances: 60, seed: 9, fill: 0.95, mixed_nodes: true },
  { nodes: 8, instances: 60, seed: 10, templates: ['ext'], fill: 1.1 },
];

test('generated clusters of every kind: the same moves, the same tables', async (t) => {
  if (no_peer !== false) return t.skip(no_peer);
  const scratch = scratchFolder(t);
  for (const [at, request] of requests.entries()) {
    const file = join(scratch, `${at}.data`);
    writeFileSync(file, formatTextCluster(generateCluster(request)));
    await compare('hbal', [
      '-t',
      file,
      '-G',
      'group-01',
      '-l',
      '8',
      '-C',
      '-v',
      '-v',
      '-v',
      '-p',
      '--print-instances',
    ]);
    await compare('hcheck', ['-t', file, '-l', '3']);
  }
});

test('small clusters of every kind, balanced to the end: no worse a score, and no more that is sent', async (t) => {
  if (no_peer !== false) return t.skip(no_peer);
  const file = join(scratchFolder(t), 'cluster.data');
  for (const request of unbalancedRequests(6, 36)) {
    const cluster = generateCluster(request);
    writeFileSync(file, formatTextCluster(cluster));
    const args = ['-v', '-t', file];
    const peer = planCost(runPeer('hbal', args).out, cluster);
    const ours = planCost((await runHtool(hbal, args, (path) => readFileSync(path, 'utf8'))).out, cluster);
    assert.ok(ours.final_score <= peer.final_score, JSON.stringify({ request, ours, peer }));
    assert.ok(ours.moved_mib <= peer.moved_mib, JSON.stringify({ request, ours, peer }));
    assert.ok(peer.moves > 0, `nothing to do in ${JSON.stringify(request)}`);
  }
});

const options: readonly (readonly string[])[] = [
  ['-E'],
  ['-E', '--restricted-migration'],
  ['--restricted-migration'],
  ['--no-disk-moves'],
  ['--no-instance-moves'],
  ['--ignore-soft-errors'],
  ['--ignore-dynu'],
  ['--max-cpu=1.5'],
  ['--min-disk=0.9'],
  ['-O', 'node-01-002', '-O', 'node-01-003'],
  ['--exclude-instances', 'inst-0001,inst-0002'],
  ['--select-instances', 'inst-0001,inst-0002,inst-0003'],
  ['--exclusion-tags', 'service'],
  ['-g', '0.3', '--min-gain-limit', '1000'],
  ['-e', '5'],
  ['-C', '--first-job-group'],
  ['-p+ptags,idx,fqdn,amem,umem,spindle_count,hi_spindles,inst_spindles,plist,slist,nonsense'],
  ['-pname,pcnt'],
  ['-q'],
  ['-qq'],
  ['-v', '-v', '-v', '-v', '-v'],
];

test('every option that changes what is found or shown', async (t) => {
  if (no_peer !== false) return t.skip(no_peer);
  const file = join(scratchFolder(t), 'cluster.data');
  const request: ClusterRequest = {
    nodes: 7,
    instances: 30,
    seed: 11,
    offline: 0.15,
    exclusion: true,
    fill: 0.7,
  };
  writeFileSync(file, formatTextCluster(generateCluster(request)));
  for (const given of options) await compare('hbal', ['-t', file, '-l', '5', ...given]);
});

test('the load that monitoring daemons measured', async (t) => {
  if (no_peer !== false) return t.skip(no_peer);
  const scratch = scratchFolder(t);
  const file = join(scratch, 'cluster.data');
  const cluster = generateCluster({ nodes: 6, instances: 24, seed: 12, mixed_nodes: true });
  writeFileSync(file, formatTextCluster(cluster));
  const report = (name: string, data: unknown) => ({
    ...{ name, version: 'B', format_version: 1, timestamp: 1, category: null, kind: 0 },
    data,
  });
  const whole = cluster.nodes.map(({ name }, at) => {
    const own = cluster.instances.filter(({ primary }) => primary === at);
    return {
      node: name,
      reports: [
        report('cpu-avg-load', { cpu_number: 2, cpus: [at, 0.25], cpu_total: at * 1.5 + 0.25 }),
        report('xen-cpu-avg-load', Object.fromEntries(own.map((one, place) => [one.name, place * 0.3]))),
      ],
    };
  });
  const part = whole.slice(1);
  const odd = whole.map((node, at) => ({
    ...node,
    reports: [report('cpu-avg-load', { cpu_number: 2, cpus: at === 3 ? ['x'] : [1], cpu_total: 1 })],
  }));
  for (const [name, data] of Object.entries({ whole, part, odd })) {
    const path = join(scratch, name);
    writeFileSync(path, JSON.stringify(data));
    const given = ['-t', file, '-l', '4', '-vvv', `--mond-data=${path}`];
    for (const more of [
      [],
      ['--mond=yes'],
      ['--mond=yes', '--mond-xen'],
      ['--mond=yes', '--ignore-dynu'],
      ['--mond=yes', '--exit-on-missing-mond-data'],
    ]) {
      await compare('hbal', [...given, ...more]);
    }
  }
});

test('mistakes on the command line: the same words and exit codes', async (t) => {
  if (folder === null) return t.skip(samples_missing);
  if (no_peer !== false) return t.skip(no_peer);
  const file = join(folder, 'hbal-evac.data');
  const groups = join(folder, 'hbal-split-insts.data');
  const lines: readonly (readonly string[])[] = [
    [],
    ['unexpected-argument'],
    ['-t', '/nonexistent'],
    ['-t', file, '-m', 'localhost'],
    ['-t', file, '-l', 'x'],
    ['-t', file, '-l', '1x'],
    ['-t', file, '--max-cpu=-1'],
    ['-t', file, '--mond=maybe'],
    ['-t', file, '--prio', 'low', '-l', '0'],
    ['--priority=abc'],
    ['-t', file, '-X'],
    ['-t', file, '-O', 'nosuch'],
    ['-t', file, '--select-instances', 'nosuch,inst'],
    ['-t', groups],
    ['-t', groups, '-G', 'nosuch'],
    ['-t', groups, '-G', 'fake-uuid-02'],
  ];
  for (const args of lines) await compare('hbal', args);
  const peer = runPeer('hbal', ['--help-completion']);
  const ours = await runHtool(hbal, ['--help-completion'], () => '');
  const without = ours.out.replace(/^--(search float|allow-restart none)\n/gm, '');
  assert.equal(without, peer.out, 'two options are ours alone');
});

test('the remote API’s answers', async (t) => {
  if (folder === null) return t.skip(samples_missing);
  if (no_peer !== false) return t.skip(no_peer);
  const address = `file://${join(folder, 'rapi')}`;
  await compare('hbal', ['-m', address, '-v', '-v', '-p', '--print-instances']);
  await compare('hinfo', ['-m', address, '-v', '-v', '-p', '--print-instances']);
});
