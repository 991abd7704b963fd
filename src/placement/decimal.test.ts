import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fixed, shortestDecimal } from './decimal.ts';

describe('decimal numbers', () => {
  it('rounds the shortest digits, halves to even', () => {
    assert.equal(fixed(1.005, 2), '1.00');
    assert.equal(fixed(1.015, 2), '1.02');
    assert.equal(fixed(1.0051, 2), '1.01');
    assert.equal(fixed(0.000000005, 8), '0.00000000');
    assert.equal(fixed(0.000000015, 8), '0.00000002');
    assert.equal(fixed(9.999999999, 8), '10.00000000');
    assert.equal(fixed(11.78957167, 8), '11.78957167');
    assert.equal(fixed(0, 8), '0.00000000');
    assert.equal(fixed(1048576, 0), '1048576');
    assert.equal(fixed(2.5, 0), '2');
    assert.equal(fixed(0.5, 0), '0');
    assert.equal(fixed(99.5, 0), '100');
    assert.equal(fixed(-1.25, 1), '-1.2');
    assert.equal(fixed(1e21, 1), '1000000000000000000000.0');
    assert.equal(fixed(1e-12, 8), '0.00000000');
    assert.equal(fixed(Number.NaN, 8), 'NaN');
  });

  it('shows as many digits as it takes', () => {
    assert.equal(shortestDecimal(0), '0.0');
    assert.equal(shortestDecimal(1.75), '1.75');
    assert.equal(shortestDecimal(62), '62.0');
    assert.equal(shortestDecimal(0.1), '0.1');
    assert.equal(shortestDecimal(0.05), '5.0e-2');
    assert.equal(shortestDecimal(1234567), '1234567.0');
    assert.equal(shortestDecimal(12345678), '1.2345678e7');
    assert.equal(shortestDecimal(10000000), '1.0e7');
    assert.equal(shortestDecimal(-2.5), '-2.5');
  });
});
