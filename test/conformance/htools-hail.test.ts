/**
 * hail beside Ganeti's: on every sample the same answer, byte for byte; on generated clusters the same nodes, or others
 * with a score that is equal or better. Skipped, with the reason, where Ganeti's is not installed.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type ClusterRequest, generateCluster } from '../../bench/placement/generate.ts';
import { hail } from '../../cli/htools/hail.ts';
import { runHtool, type Said } from '../../cli/htools/test-world.ts';
import type { DiskTemplate, PlacementCluster } from '../../src/placement/cluster.ts';
import type { AllocatorRequest } from '../../src/placement/iallocator-format.ts';
import { formatAllocatorInput } from '../../src/placement/iallocator-format-write.ts';
import { instance } from '../../src/placement/test-allocation.ts';
import { peerMissing, runPeer, sampleFolder, samples_missing, scratchFolder } from './htools-peer.ts';

const installed = '/usr/lib/ganeti/iallocators/hail';
const program = existsSync(installed) ? installed : 'hail';
const peer_missing = peerMissing(program);
const folder = sampleFolder();
const no_samples = peer_missing !== false ? peer_missing : folder === null ? samples_missing : false;
const scratch = scratchFolder({ after });

const read = (path: string): string => readFileSync(path, 'utf8');

async function both(argv: readonly string[]): Promise<{ readonly theirs: Said; readonly ours: Said }> {
  return { theirs: runPeer(program, argv), ours: await runHtool(hail, argv, read) };
}

/** Ours say more: what was found, and what was expected. */
const withoutDetails = (text: string): string =>
  text
    .replace(/\((ganeti|skein)\) version .*/, '')
    .replace(/: Unable to read (\w+).*/, ': Unable to read $1');

describe('hail on the samples', { skip: no_samples }, () => {
  const sample = (name: string): string => join(folder ?? '', name);
  const names = folder === null ? [] : readdirSync(folder).filter((name) => /^hail-.*\.json$/.test(name));
  /** These are requests only, to be asked of a cluster in a file. */
  const bare = new Set(['hail-alloc-ext.json', 'hail-alloc-drbd-restricted.json']);
  const clusters = [
    'shared-n1-restriction',
    'plain-n1-restriction',
    'shared-n1-failure',
    'partly-used',
    'n1-failure',
  ];
  const lines = names
    .filter((name) => !bare.has(name))
    .flatMap((name) => [
      [name],
      ['--no-capacity-checks', name],
      ['--ignore-soft-errors', name],
      ['-p', '-v', name],
    ])
    .concat(
      clusters.flatMap((cluster) =>
        ['hail-alloc-ext.json', 'hail-alloc-drbd.json', 'hail-alloc-drbd-restricted.json'].flatMap((name) => [
          ['-t', `${cluster}.data`, name],
          ['-t', `${cluster}.data`, '--no-capacity-checks', name],
        ]),
      ),
    )
    .concat([
      [
        '-t',
        'partly-used.data',
        '--restrict-allocation-to',
        'node-01,node-02,node-03',
        'hail-alloc-drbd.json',
      ],
      [
        '-t',
        'partly-used.data',
        '--restrict-allocation-to',
        'node-03,node-04',
        'hail-alloc-drbd-restricted.json',
      ],
      ['--simulate=p,8,8T,16g,16', 'hail-alloc-drbd.json'],
      ['--simulate=p,3,8T,16g,16', '--simulate=a,3,8T,16g,16', 'hail-alloc-drbd.json'],
      ['hail-alloc-drbd.json', 'hail-alloc-drbd.json'],
      ['nothing.json'],
      ['--restrict-allocation-to'],
      ['--help'],
      ['--help-completion'],
      [],
    ]);
  for (const words of lines) {
    it(words.join(' ') || '(nothing)', async () => {
      const argv = words.map((word) => (/\.(json|data)$/.test(word) ? sample(word) : word));
      const { theirs, ours } = await both(argv);
      assert.equal(ours.out.replace(/.*version.*/, ''), theirs.out.replace(/.*version.*/, ''));
      assert.equal(ours.status, theirs.status);
      const detailed = words.includes('-v') ? /Received request.*/g : /$^/g;
      const errors = (text: string): string =>
        withoutDetails(text)
          .replaceAll(detailed, '')
          .replace(/^(Error|hail): /, '');
      assert.equal(errors(ours.err), errors(theirs.err));
    });
  }

  it('saves the same clusters', async () => {
    for (const name of names.filter((one) => !bare.has(one) && one !== 'hail-invalid-reloc.json')) {
      const their_file = join(scratch, 'theirs');
      runPeer(program, ['-S', their_file, sample(name)]);
      const saved = new Map<string, string>();
      await runHtool(hail, ['-S', 'ours', sample(name)], read, (path, text) => saved.set(path, text));
      for (const when of ['pre-ialloc', 'post-ialloc']) {
        assert.equal(saved.get(`ours.${when}`), read(`${their_file}.${when}`), `${name}, ${when}`);
      }
    }
  });
});

interface Answer {
  readonly success: boolean;
  readonly info: string;
  readonly result: unknown;
}

/** The score that an allocation's text tells. */
function scoreOf({ info }: Answer): number {
  return Number(/score: ([\d.]+),/.exec(info)?.[1] ?? Number.NaN);
}

const clusters: { readonly [name: string]: ClusterRequest } = {
  drbd: { nodes: 20, instances: 100, fill: 0.3 },
  shared: { nodes: 20, instances: 200, templates: ['ext'] },
  plain: { nodes: 20, instances: 100, templates: ['plain'] },
  mixed: { nodes: 20, instances: 150, templates: ['drbd', 'plain', 'ext', 'diskless'], mixed_nodes: true },
  groups: { nodes: 24, instances: 120, groups: 3, offline: 0.1, fill: 0.3 },
  tags: { nodes: 16, instances: 80, exclusion: true, locations: true, desired: true, fill: 0.3 },
  migration: { nodes: 16, instances: 80, templates: ['ext', 'plain'], migration: true, down: 0.2 },
  odd: { nodes: 12, instances: 60, odd_sizes: true, down: 0.2, forthcoming: 0.1, mixed_nodes: true },
  full: { nodes: 12, instances: 100, templates: ['ext'], fill: 0.85 },
  empty: { nodes: 20, instances: 0 },
};

describe('hail on generated clusters', { skip: peer_missing }, () => {
  const ask = async (
    cluster: PlacementCluster,
    request: AllocatorRequest,
    options: readonly string[] = [],
  ) => {
    const file = join(scratch, 'message.json');
    const names = { cluster_name: 'generated', enabled_hypervisors: ['xen-pvm'] };
    writeFileSync(file, formatAllocatorInput(cluster, request, names));
    const { theirs, ours } = await both([...options, file]);
    assert.equal(ours.status, theirs.status, theirs.err + ours.err);
    return { theirs: JSON.parse(theirs.out) as Answer, ours: JSON.parse(ours.out) as Answer };
  };

  const wanted = (template: DiskTemplate, at: number) => ({
    instance: instance(`new-${at}`, {
      template,
      memory_mib: 512 * (1 + (at % 5)),
      vcpus: 1 + (at % 3),
      tags: [`service:${at % 4}`, `rack:${at % 4}`],
      nic_count: 0,
    }),
    node_count: template === 'drbd' ? 2 : 1,
    group: null,
  });

  for (const [name, request] of Object.entries(clusters)) {
    for (const seed of [1, 2]) {
      const cluster = generateCluster({ ...request, seed });

      it(`allocates as well: ${name}, seed ${seed}`, async () => {
        for (const [at, template] of (['drbd', 'ext', 'plain'] as const).entries()) {
          for (const options of [[], ['--no-capacity-checks']]) {
            const asked: AllocatorRequest = {
              type: 'allocate',
              wanted: wanted(template, at + seed),
              restrict_to: null,
            };
            const { theirs, ours } = await ask(cluster, asked, options);
            assert.equal(ours.success, theirs.success, `${template}: ${theirs.info} / ${ours.info}`);
            if (ours.info === theirs.info) continue;
            assert.ok(scoreOf(ours) <= scoreOf(theirs) + 1e-8, `${template}: ${theirs.info} / ${ours.info}`);
          }
        }
      });

      it(`moves as well: ${name}, seed ${seed}`, async () => {
        const some = cluster.instances.flatMap(({ auto_balance }, at) =>
          at % 7 === seed && auto_balance ? [at] : [],
        );
        for (const mode of ['primary-only', 'secondary-only', 'all'] as const) {
          const { theirs, ours } = await ask(cluster, {
            type: 'node-evacuate',
            instances: some.slice(0, 6),
            mode,
          });
          assert.deepEqual(ours, theirs, mode);
        }
        const groups: AllocatorRequest = {
          type: 'change-group',
          instances: some.slice(0, 2),
          target_groups: [],
        };
        if (cluster.groups.length > 1) {
          const { theirs, ours } = await ask(cluster, groups);
          assert.deepEqual(ours, theirs, 'change-group');
        }
      });
    }
  }

  it('places several one after the other as well', async () => {
    for (const name of ['drbd', 'mixed', 'groups']) {
      const cluster = generateCluster(clusters[name]!);
      const all = Array.from({ length: 6 }, (_, at) =>
        wanted((['drbd', 'ext', 'plain'] as const)[at % 3]!, at),
      );
      const { theirs, ours } = await ask(cluster, { type: 'multi-allocate', wanted: all });
      assert.deepEqual(ours, theirs, name);
    }
  });

  it(`is what the samples' names say it is: ${basename(program)}`, () => {
    assert.match(runPeer(program, ['--version']).out, /^hail/);
  });
});
