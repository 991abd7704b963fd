import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clusterDomain, commonDomain, shortName } from './short-names.ts';
import { cluster, instance, node } from './test-allocation.ts';

describe('short names', () => {
  it('finds the longest ending from a dot on that all share', () => {
    assert.equal(commonDomain(['a.b.example.org', 'c.b.example.org']), '.b.example.org');
    assert.equal(commonDomain(['a.x.example.org', 'c.y.example.org']), '.example.org');
    assert.equal(commonDomain(['node1', 'node2']), '');
    assert.equal(commonDomain(['only.example.org']), '.example.org');
    assert.equal(commonDomain([]), '');
  });

  it('looks at nodes and instances', () => {
    const nodes = [node('n1.example.org')];
    assert.equal(
      clusterDomain(cluster(nodes, [instance('web.example.org', { primary: 0 })])),
      '.example.org',
    );
    assert.equal(clusterDomain(cluster(nodes, [instance('web', { primary: 0 })])), '');
    assert.equal(shortName('n1.example.org', '.example.org'), 'n1');
    assert.equal(shortName('n1', ''), 'n1');
  });
});
