/** hroller without Ganeti's beside it: what it prints, and how it ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type SmallCluster, smallCluster } from '../../src/placement/test-small-cluster.ts';
import { formatTextCluster } from '../../src/placement/text-format-write.ts';
import { hroller } from './hroller.ts';
import { runHtool, type Said } from './test-world.ts';

const usual: SmallCluster = {
  nodes: [['a', { master: true, tags: ['x'] }], ['b'], ['c', { tags: ['x'] }], ['d']],
  instances: [
    ['i', 'a b'],
    ['j', 'c'],
    ['k', 'c'],
  ],
};

const written = new Map<string, string>();

function run(words: string, shape: SmallCluster = usual): Promise<Said> {
  const text = formatTextCluster(smallCluster(shape));
  const argv = ['-t', 'cluster.data', ...words.split(' ').filter((word) => word !== '')];
  return runHtool(
    hroller,
    argv,
    () => text,
    (path, saved) => written.set(path, saved),
  );
}

describe('hroller', () => {
  // As Ganeti's prints them, but that it finds three groups for the full evacuation, and with --node-tags=x takes b,
  // which it was not asked for, for no place to go to.
  const outputs: readonly (readonly [string, readonly string[]])[] = [
    ['', ["'Node Reboot Groups'", 'b', 'c,d,a']],
    ['--no-headers', ['b', 'c,d,a']],
    ['--no-headers --offline-maintenance --ignore-non-redundant', ['b,c,d', 'a']],
    ['--one-step-only --offline-maintenance --ignore-non-redundant', ["'First Reboot Group'", 'b', 'c', 'd']],
    ['--no-headers --print-moves', ['b', 'c,d,a', '  j b', '  k b']],
    ['--no-headers --one-step-only --print-moves --node-tags=x', ['c', 'a', '  j b', '  k b']],
    ['--no-headers --full-evacuation --print-moves', ['b,d', '  i a c', 'c,a', '  i b d', '  j b', '  k b']],
    ['--no-headers --node-tags=x', ['c,a']],
    ['--no-headers -O c', ['b', 'd,a']],
    ['--no-headers --skip-non-redundant', ['b', 'd,a']],
    ['--no-headers -v', ['Dcolor: 2 (3,1) TIE Dsatur: 2 (3,1) TIE LF: 2 (3,1)', 'b', 'c,d,a']],
  ];
  for (const [words, lines] of outputs) {
    it(words || '(no options)', async () => {
      assert.deepEqual(await run(words), {
        out: lines.map((line) => `${line}\n`).join(''),
        err: '',
        status: 0,
      });
    });
  }

  const nobody: SmallCluster = { nodes: [['a'], ['b']] };
  const masters: SmallCluster = {
    nodes: [
      ['a', { master: true }],
      ['b', { master: true }],
    ],
  };
  const alone: SmallCluster = { nodes: [['a', { master: true }]], instances: [['i', 'a']] };
  const apart: SmallCluster = {
    nodes: [['a', { master: true }]],
    instances: [['i', 'a', { tags: ['skein:node:must:z'] }]],
  };
  const failures: readonly (readonly [string, SmallCluster, RegExp])[] = [
    ['', nobody, /^Error: No master node found \(maybe not supported by backend\)\.\n$/],
    ['', masters, /^Error: Found more than one master node: \["a","b"\]\n$/],
    ['', alone, /^Error: Not enough capacity to move non-redundant instances\n$/],
    ['', apart, /^Error: instance i has the tag skein:node:must:z: expected the name of a node/],
    ['-G z', usual, /^Error: Cannot find target group\.\n$/],
    ['--node-tags=z', usual, /^Error: Cannot create node graph\n$/],
    ['-O z', usual, /^Error: wrong node name\(s\) set as offline: z\n/],
    ['more', usual, /^Error: This program doesn't take any arguments\.\n$/],
  ];
  for (const [words, shape, text] of failures) {
    it(`fails: ${words || text.source}`, async () => {
      const said = await run(words, shape);
      assert.match(said.err, text);
      assert.deepEqual([said.out, said.status], ['', 1]);
    });
  }

  it('goes on without a master if it is forced to', async () => {
    assert.deepEqual(await run('--no-headers -f', nobody), {
      out: 'a,b\n',
      err: 'Warning: No master node found (maybe not supported by backend).\n',
      status: 0,
    });
  });

  it('saves what it was given, and warns of tags that it does not know', async () => {
    const shape: SmallCluster = { nodes: [['a', { master: true, tags: ['skein:colour:red'] }]] };
    const said = await run('-S file', shape);
    assert.equal(
      said.err,
      "The cluster state before hroller run has been written to file 'file.original'\n" +
        'Warning: node a has the tag skein:colour:red, which no rule of this version is called\n',
    );
    assert.equal(written.get('file.original'), formatTextCluster(smallCluster(shape)));
  });
});
