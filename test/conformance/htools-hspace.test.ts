/**
 * hspace beside Ganeti's: on every sample the same figures; on generated clusters counts that are equal or higher.
 * Skipped, with the reason, where Ganeti's is not installed.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import { hspace } from '../../cli/htools/hspace.ts';
import { runHtool, type Said } from '../../cli/htools/test-world.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import {
  commonHelp,
  peerMissing,
  runPeer,
  sampleFolder,
  samples,
  samples_missing,
  scratchFolder,
} from './htools-peer.ts';

const peer_missing = peerMissing('hspace');
const folder = sampleFolder();
const no_samples = peer_missing !== false ? peer_missing : folder === null ? samples_missing : false;
const scratch = scratchFolder({ after });

const read = (path: string): string => readFileSync(path, 'utf8');

async function both(argv: readonly string[]): Promise<{ readonly theirs: Said; readonly ours: Said }> {
  return { theirs: runPeer('hspace', argv), ours: await runHtool(hspace, argv, read) };
}

/**
 * Ours are sound where theirs are not: theirs crash, or find that they do not add up, where instances are only reserved
 * or split between groups.
 */
const unsound = new Set(['hbal-forth.data', 'hbal-split-insts.data']);
/** Theirs take minutes. */
const slow = new Set([
  'clean-nonzero-score.data',
  'empty-cluster.data',
  'missing-resources.data',
  'multiple-master.data',
]);

describe('hspace on the samples', { skip: no_samples }, () => {
  const options: readonly (readonly string[])[] = [
    [],
    ['--machine-readable', '--no-capacity-checks'],
    ['--machine-readable', '--independent-groups'],
    ['--machine-readable', '--accept-existing-errors', '-l', '3'],
    ['--machine-readable', '--disk-template=ext', '-l', '40'],
    ['-p', '-v', '-v', '-v', '-v', '-l', '5', '--min-disk=0.1', '--max-cpu=2'],
    ['-q', '--standard-alloc=1g,512m,1', '--tiered-alloc=100g,3g,2,2', '-l', '9'],
  ];
  for (const path of folder === null ? [] : samples(folder)) {
    const name = basename(path);
    if (slow.has(name) || unsound.has(name)) continue;
    it(name, async () => {
      for (const more of options) {
        const argv = ['-t', path, ...more];
        const { theirs, ours } = await both(argv);
        assert.equal(ours.status, theirs.status, argv.join(' '));
        assert.equal(ours.out, theirs.out, argv.join(' '));
        if (theirs.status === 0) assert.equal(ours.err, theirs.err, argv.join(' '));
      }
    });
  }

  const lines: readonly (readonly string[])[] = [
    ['--simulate=p,4,8T,64g,16', '--machine-readable', '--disk-template=drbd', '-l', '8'],
    ['--simulate=p,2,8t,64g,16', '--simulate=a,3,4t,16g,8,12', '--disk-template=drbd', '-l', '8', '-q'],
    ['--simulate=p,4'],
    ['--simulate=p,1,10x,1g,4'],
    ['--simulate=p,a,10g,1g,4'],
    ['--max-cpu=abc'],
    ['--max-cpu=0'],
    ['--spindle-use=-1'],
    ['--disk-template=foo'],
    ['--machine-readable=maybe'],
    ['--standard-alloc=1g,xx,1'],
    ['--standard-alloc=1g,1g'],
    ['-O', 'nobody', '-t', 'hspace-tiered.data'],
    ['-O', 'node-01-004', '-t', 'hspace-tiered.data'],
    ['-t', 'nothing.data'],
    ['-t', 'invalid-node.data'],
    ['-t', 'empty-cluster.data'],
    ['argument'],
    ['--help'],
    ['--help-completion'],
    ['--ma'],
    [],
  ];
  for (const words of lines) {
    it(words.join(' ') || '(nothing)', async () => {
      const argv = words.map((word) => (word.endsWith('.data') ? join(folder!, word) : word));
      const { theirs, ours } = await both(argv);
      assert.equal(commonHelp(ours.out), commonHelp(theirs.out));
      assert.equal(ours.status, theirs.status);
      // Ours also say in which line or part of the words it is, and what was expected.
      const first = (text: string): string => commonHelp(text).split('\n')[0]!;
      if (!theirs.err.includes('failed to load') && !theirs.err.includes('parsing')) {
        assert.equal(first(ours.err), first(theirs.err));
      }
    });
  }

  it('saves the same clusters', async () => {
    for (const name of [
      'hspace-tiered-dualspec-exclusive.data',
      'hspace-groups-two.data',
      'partly-used.data',
    ]) {
      const argv = ['-q', '-t', join(folder!, name), '--accept-existing-errors', '-l', '20', '-S'];
      const their_file = join(scratch, 'theirs');
      runPeer('hspace', [...argv, their_file]);
      const saved = new Map<string, string>();
      await runHtool(hspace, [...argv, 'ours'], read, (path, text) => saved.set(path, text));
      for (const way of ['tiered', 'standard']) {
        assert.equal(saved.get(`ours.${way}`), read(`${their_file}.${way}`), `${name}, ${way}`);
      }
    }
  });
});

function keysOf(out: string): ReadonlyMap<string, string> {
  return new Map(
    out
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => {
        const at = line.indexOf('=');
        return [line.slice(0, at), line.slice(at + 1)];
      }),
  );
}

const clusters: { readonly [name: string]: ClusterRequest } = {
  drbd: { nodes: 8, instances: 30, fill: 0.3 },
  shared: { nodes: 8, instances: 40, templates: ['ext'], fill: 0.5 },
  plain: { nodes: 8, instances: 40, templates: ['plain'], fill: 0.5 },
  mixed: {
    nodes: 9,
    instances: 40,
    templates: ['plain', 'ext'],
    fill: 0.5,
    mixed_nodes: true,
    odd_sizes: true,
  },
  groups: { nodes: 12, instances: 40, groups: 2, fill: 0.3, offline: 0.1 },
  tags: { nodes: 8, instances: 30, fill: 0.3, exclusion: true, locations: true, desired: true },
};

describe('hspace on generated clusters', { skip: peer_missing }, () => {
  for (const [name, request] of Object.entries(clusters)) {
    for (const template of ['drbd', 'ext', 'plain'] as const) {
      it(`holds as many or more: ${name}, ${template}`, async () => {
        const file = join(scratch, 'cluster.data');
        writeFileSync(file, formatTextCluster(generateCluster(request)));
        const sizes = ['--standard-alloc=20g,4g,2', '--tiered-alloc=100g,16g,4'];
        const { theirs, ours } = await both([
          '-q',
          '--machine-readable',
          `--disk-template=${template}`,
          ...sizes,
          '-t',
          file,
        ]);
        assert.equal(ours.status, theirs.status, theirs.err + ours.err);
        const [a, b] = [keysOf(theirs.out), keysOf(ours.out)];
        assert.deepEqual([...b.keys()].sort(), [...a.keys()].sort());
        for (const [key, value] of a) {
          if (!/^HTS_(CLUSTER|INI|KM_USED|SPEC|TSPEC_INI)_/.test(key)) continue;
          assert.equal(b.get(key), value, key);
        }
        for (const key of ['HTS_ALLOC_INSTANCES', 'HTS_TRL_INST_CNT', 'HTS_TRL_MEM_INST']) {
          assert.ok(Number(b.get(key)) >= Number(a.get(key)), `${key}: ${b.get(key)}, theirs ${a.get(key)}`);
        }
      });
    }
  }
});
