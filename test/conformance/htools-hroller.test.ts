/**
 * hroller beside Ganeti's: the same output and exit status on every sample, and on generated clusters the same groups or
 * fewer. Where there are fewer, each of them is put to Ganeti's hroller: asked for these nodes alone, it must say that
 * they can go down together.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import { hroller } from '../../cli/htools/hroller.ts';
import { runHtool, type Said } from '../../cli/htools/test-world.ts';
import type { PlacementCluster } from '../../src/placement/cluster.ts';
import { type RebootOptions, rebootGroups } from '../../src/placement/reboot-groups.ts';
import { buildTable } from '../../src/placement/table.ts';
import { assertSound, everything } from '../../src/placement/test-reboot-check.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import { commonHelp, peerMissing, runPeer, sampleFolder, samples, samples_missing } from './htools-peer.ts';

const peer_missing = peerMissing('hroller');
const folder = sampleFolder();
const no_samples = peer_missing !== false ? peer_missing : folder === null ? samples_missing : false;
const scratch = mkdtempSync(join(tmpdir(), 'skein-hroller-'));
after(() => rmSync(scratch, { recursive: true }));

const readFile = (path: string): string => readFileSync(path, 'utf8');

async function both(argv: readonly string[]): Promise<{ readonly theirs: Said; readonly ours: Said }> {
  return { theirs: runPeer('hroller', argv), ours: await runHtool(hroller, argv, readFile) };
}

/** `a,b`: each group as printed, without the moves. */
function groupsIn(out: string): readonly string[] {
  return out
    .split('\n')
    .slice(0, -1)
    .filter((line) => !line.startsWith('  '));
}

/**
 * The same, or fewer groups. Theirs also moves what is on nodes that were not asked for, prints groups of none for them,
 * and takes them for no place to go to; so then only the groups are compared.
 */
function assertAsGood(theirs: Said, ours: Said, what: string): 'same' | 'better' {
  if (theirs.status === 0) assert.equal(ours.status, 0, `${what}: ${ours.err}`);
  if (theirs.out === ours.out && theirs.status === ours.status) return 'same';
  if (theirs.status !== 0) return 'better';
  const groups = groupsIn(theirs.out).filter((group) => group !== '');
  if (groupsIn(ours.out).length >= groups.length) {
    assert.ok(what.includes('--node-tags'), `${what}:\n${ours.out}\nexpected\n${theirs.out}`);
    assert.deepEqual(groupsIn(ours.out), groups, what);
  }
  return 'better';
}

describe('hroller on the samples', { skip: no_samples }, () => {
  const option_sets: readonly (readonly string[])[] = [
    [],
    ['--force', '--print-moves', '-v', '-v', '-v'],
    ['--force', '--offline-maintenance'],
    ['--force', '--full-evacuation', '--print-moves'],
    ['--force', '--skip-non-redundant'],
    ['--force', '--ignore-non-redundant', '--one-step-only', '--print-moves', '--no-headers'],
    ['--force', '--node-tags=red,blue', '-v', '-v'],
  ];
  for (const path of folder === null ? [] : samples(folder)) {
    it(basename(path), async () => {
      for (const options of option_sets) {
        const argv = ['-t', path, ...options];
        const { theirs, ours } = await both(argv);
        // Ours also says in which line of the file, and what was expected.
        const loads = !theirs.err.startsWith('Error: failed to load data');
        assert.equal(ours.status, theirs.status, argv.join(' '));
        if (loads) assert.equal(ours.err, theirs.err, argv.join(' '));
        assertAsGood(theirs, ours, argv.join(' '));
      }
    });
  }

  const lines: readonly (readonly string[])[] = [
    ['-G', 'nowhere', '-t', 'hroller-full.data'],
    ['-G', 'fake-uuid-01', '-t', 'hroller-full.data'],
    ['-G', 'group-01', '-t', 'hroller-nodegroups.data'],
    ['-O', 'nobody', '-t', 'hroller-full.data'],
    ['-O', 'node-01-002', '-t', 'unique-reboot-order.data', '--ignore-non-redundant'],
    ['-O', 'node-00', '-t', 'hroller-full.data', '--full-evacuation', '--print-moves'],
    ['-t', 'hroller-full.data', 'argument'],
    ['-t', 'nothing.data'],
    ['--static-kvm-node-memory=x', '-t', 'hroller-full.data'],
    ['--help-completion'],
    [],
  ];
  for (const words of lines) {
    it(words.join(' ') || '(nothing)', async () => {
      const argv = words.map((word) => (word.endsWith('.data') ? join(folder!, word) : word));
      const { theirs, ours } = await both(argv);
      assert.deepEqual(ours, theirs);
    });
  }

  it('the help, but for the version and what -L reads', async () => {
    for (const word of ['--help', '--bogus', '--no']) {
      const { theirs, ours } = await both([word]);
      assert.deepEqual(
        [commonHelp(ours.out), commonHelp(ours.err), ours.status],
        [commonHelp(theirs.out), commonHelp(theirs.err), theirs.status],
      );
    }
  });
});

const shapes: readonly ClusterRequest[] = [
  { nodes: 20, instances: 200 },
  { nodes: 20, instances: 60, seed: 2, offline: 0.2, down: 0.3 },
  { nodes: 40, instances: 120, seed: 3, groups: 3 },
  { nodes: 20, instances: 100, seed: 4, templates: ['plain'], fill: 0.7 },
  { nodes: 20, instances: 100, seed: 5, templates: ['rbd'], fill: 0.75 },
  { nodes: 24, instances: 200, seed: 6, templates: ['drbd', 'plain', 'rbd'], fill: 0.65, mixed_nodes: true },
  {
    nodes: 12,
    instances: 60,
    seed: 7,
    templates: ['drbd', 'plain', 'diskless'],
    fill: 0.6,
    forthcoming: 0.1,
  },
  { nodes: 6, instances: 16, seed: 61, templates: ['plain'], fill: 0.75 },
  { nodes: 80, instances: 400, seed: 8, templates: ['drbd'] },
  { nodes: 200, instances: 400, seed: 9, templates: ['drbd', 'plain'], fill: 0.1 },
];

/** What the command line says, as options of the engine. */
const option_sets: readonly (readonly [readonly string[], Partial<RebootOptions>])[] = [
  [[], {}],
  [['--offline-maintenance'], { offline_maintenance: true }],
  [['--ignore-non-redundant'], { non_redundant: 'ignore' }],
  [['--full-evacuation'], { full_evacuation: true }],
  [['--node-tags=even'], { node_tags: ['even'] }],
];

function withTags(cluster: PlacementCluster, tagsOf: (node: number) => readonly string[]): PlacementCluster {
  return {
    ...cluster,
    nodes: cluster.nodes.map((node, at) => ({ ...node, tags: [...node.tags, ...tagsOf(at)] })),
  };
}

describe('hroller on generated clusters', { skip: peer_missing }, () => {
  const path = join(scratch, 'cluster.data');
  for (const shape of shapes) {
    it(JSON.stringify(shape), async () => {
      const cluster = withTags(generateCluster(shape), (node) => [node % 2 === 0 ? 'even' : 'odd']);
      for (const [words, changes] of option_sets) {
        writeFileSync(path, formatTextCluster(cluster));
        const argv = ['-t', path, '--no-headers', '--print-moves', ...words];
        const { theirs, ours } = await both(argv);
        const verdict = assertAsGood(theirs, ours, argv.join(' '));
        const options = { ...everything, ...changes };
        const found = rebootGroups(buildTable(cluster), options);
        if ('failure' in found) continue;
        assertSound(cluster, options, found.groups);
        if (verdict === 'better')
          askPeer(
            path,
            cluster,
            words,
            found.groups.map(({ nodes }) => nodes),
          );
      }
      // The graph and what the colourings came to, too.
      const { theirs, ours } = await both(['-t', path, '-v', '-v', '-v', '--ignore-non-redundant']);
      const firstLines = (text: string): readonly string[] => text.split('\n').slice(0, 2);
      assert.deepEqual(firstLines(ours.out), firstLines(theirs.out));
    });
  }
});

/** Asks Ganeti's hroller whether it, too, finds that the nodes of each group can go down together. */
function askPeer(
  path: string,
  cluster: PlacementCluster,
  words: readonly string[],
  groups: readonly (readonly number[])[],
): void {
  const group_of = new Map(groups.flatMap((nodes, at) => nodes.map((node) => [node, at] as const)));
  writeFileSync(
    path,
    formatTextCluster(withTags(cluster, (node) => [`group-${group_of.get(node) ?? 'none'}`])),
  );
  groups.forEach((nodes, at) => {
    const { out } = runPeer('hroller', [
      '-t',
      path,
      '--no-headers',
      '--force',
      '--ignore-non-redundant',
      ...words.filter((word) => word === '--offline-maintenance'),
      `--node-tags=group-${at}`,
    ]);
    assert.equal(out.trim().split('\n').length, 1, out);
    assert.equal(out.trim().split(',').length, nodes.length);
  });
}
