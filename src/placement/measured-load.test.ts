/** What monitoring daemons reported of CPU load, in a cluster and its table. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PlacementCluster } from './cluster.ts';
import { InputError } from './input-error.ts';
import { type Collector, parseReport, parseReports, withMeasuredLoad } from './measured-load.ts';
import { buildTable, CPU_LOAD, STRIDE } from './table.ts';
import { parseTextCluster } from './text-format.ts';

/** On a: 3 virtual CPUs that count; on b: 1, and an instance that is switched off for good. */
const cluster = parseTextCluster(
  [
    'g|u|preferred||',
    '',
    'a|16384|0|16384|1024|1024|8|N|u|1',
    'b|16384|0|16384|1024|1024|8|N|u|1',
    '',
    'web|1024|0|1|running|Y|a||ext||1',
    'db|1024|0|2|running|Y|a||ext||1',
    'mail|1024|0|1|running|Y|b||ext||1',
    'old|1024|0|1|ADMIN_offline|Y|b||ext||1',
    '',
    '',
  ].join('\n'),
);

function file(data: Readonly<Record<string, unknown>>, name: string): string {
  return JSON.stringify(
    Object.entries(data).map(([node, reported]) => ({ node, reports: [{ name, data: reported }] })),
  );
}

/** A whole report of a node's load. */
function load(cpu_total: unknown): object {
  return { cpu_number: 1, cpus: [0.5], cpu_total };
}

function measured(data: Readonly<Record<string, unknown>>, collector: Collector): PlacementCluster | string {
  const result = withMeasuredLoad(cluster, collector, parseReports(file(data, collector), collector));
  return 'cluster' in result ? result.cluster : result.missing;
}

function loads(found: PlacementCluster | string): readonly number[] {
  assert.ok(typeof found !== 'string');
  return found.instances.map(({ utilisation }) => utilisation.cpu);
}

function nodeLoads(found: PlacementCluster | string): readonly number[] {
  assert.ok(typeof found !== 'string');
  const { state } = buildTable(found);
  return found.nodes.map((_, node) => state[node * STRIDE + CPU_LOAD]!);
}

describe('withMeasuredLoad', () => {
  it("divides a node's load by the virtual CPUs that are in use", () => {
    const found = measured({ a: load(6), b: load(0.5) }, 'cpu-avg-load');
    assert.deepEqual(loads(found), [1.5, 3, 0.25, 0.25], 'each node takes one for itself');
    assert.deepEqual(nodeLoads(found), [6, 0.5], "the node's own, not the sum of its instances'");
  });

  it('takes what Xen knows of each instance', () => {
    const data = { a: { web: 0.5, db: 2 }, b: { mail: 1, old: 0, unheard: 9 } };
    const found = measured(data, 'xen-cpu-avg-load');
    assert.deepEqual(loads(found), [0.5, 2, 1, 0]);
    assert.deepEqual(nodeLoads(found), [2.5, 1]);
  });

  it('does without, unless all have reported', () => {
    const ignored = "Didn't receive an answer by all MonDs, cpu-avg-load's data will be ignored.";
    assert.equal(measured({ a: load(6) }, 'cpu-avg-load'), ignored);
    assert.equal(measured({ a: load(6), b: load('high') }, 'cpu-avg-load'), ignored);
    for (const part of [{ cpus: ['x'] }, { cpus: null }, { cpu_number: null }]) {
      assert.equal(measured({ a: load(6), b: { ...load(1), ...part } }, 'cpu-avg-load'), ignored);
    }
    assert.match(
      String(measured({ a: { web: 1 }, b: { old: 'x' } }, 'xen-cpu-avg-load')),
      /xen-cpu-avg-load's/,
    );
    assert.equal(
      measured({ a: { web: 1 }, b: { old: 1 } }, 'xen-cpu-avg-load'),
      'No CPU information available for ["db","mail"]',
    );
  });
});

describe('parseReports', () => {
  it("passes over other collectors' reports, and takes a node's last entry", () => {
    const entry = (data: unknown) => ({
      node: 'a',
      reports: [
        { name: 'drbd', data: {} },
        { name: 'cpu-avg-load', data },
        { name: 'cpu-avg-load', data: 'second' },
      ],
    });
    const text = JSON.stringify([entry(1), entry(2), { node: 'b', reports: [] }]);
    assert.deepEqual([...parseReports(text, 'cpu-avg-load')], [['a', 2]]);
  });

  const refusals: readonly (readonly [string, RegExp])[] = [
    ['[1', /no JSON: .*: expected a list of objects/],
    ['{}', /Unable to read list: expected a list of objects/],
    ['[1]', /item 0: Unable to read JSObject from 1: expected an object/],
    ['[{"node":5}]', /item 0: key 'node': Unable to read String from 5/],
    ['[{"node":"a"}]', /key 'reports' not found/],
    ['[{"node":"a","reports":[{}]}]', /item 0 \('a'\): key 'reports', item 0: key 'name' not found/],
  ];
  for (const [text, message] of refusals) {
    it(`refuses ${text}`, () => {
      assert.throws(
        () => parseReports(text, 'cpu-avg-load'),
        (error) => error instanceof InputError && message.test(error.message),
      );
    });
  }
});

describe('parseReport', () => {
  it("takes an answer's data, and refuses one that is none", () => {
    assert.deepEqual(parseReport('{"name":"cpu-avg-load","data":{"cpu_total":1}}', 'a'), { cpu_total: 1 });
    assert.throws(() => parseReport('<html>', 'a'), InputError);
    assert.throws(() => parseReport('[]', 'a'), InputError);
  });
});
